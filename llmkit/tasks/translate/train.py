"""What the training loop drives for a translation model: one update, one validation, the state to go on from.

In: the prepared folder (token ids of pairs, their splits) and the settings. Out: averaged weights, which are what is
validated and kept, and which `graph.py` writes as a model folder.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder
from llmkit.data.ragged import Ragged
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.tasks.translate import graph, optimizers, prepare, vocabulary as vocabularies
from llmkit.tasks.translate.batches import TokenBatches, by_tokens
from llmkit.tasks.translate.halves import Halves
from llmkit.tasks.translate.network import TranslationNetwork
from llmkit.tasks.translate.settings import Config, Model, Train
from llmkit.tasks.translate.vocabulary import BOUNDARY
from llmkit.training import distillation, distributed, from_weights, optimizer_state
from llmkit.training.averages import Averages
from llmkit.training.devices import Hardware
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.learner import Export, Finish

NOTHING = -100  # in place of a target token that fills up
VALIDATION_TOKENS = 8192
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
Teacher = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(sources, counts, targets, what is wanted (B, T)) of a batch to the probabilities (N, V) where something is."""


def build(model: Model, vocab_size: int) -> TranslationNetwork:
    """The network that the settings describe."""
    return TranslationNetwork(
        vocab_size,
        model.hidden_size,
        heads=model.heads,
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        feedforward_size=model.feedforward_size or 2 * model.hidden_size,
        dropout=model.dropout,
    )


class TranslateLearner:
    """Batches of pairs of about one length, label smoothing, averaged weights (a `Learner`)."""

    unit = "tokens"

    def __init__(self, network: TranslationNetwork, prepared: Files, settings: Train, seed: int, hardware: Hardware):
        self.prepared, self.settings, self.hardware = prepared, settings, hardware
        self.network = network.to(hardware.device)
        self.sources, self.targets = prepare.read(prepared)
        of = prepared.array("split.npy")
        train, val = np.flatnonzero(of == 0), np.flatnonzero(of == 1)
        self.lengths = np.maximum(self.sources.counts, self.targets.counts) + 1
        self.batches = TokenBatches(train, self.lengths, settings.batch_size, seed)
        self.val = by_tokens(val[np.argsort(self.lengths[val], kind="stable")], self.lengths, VALIDATION_TOKENS)
        self.optimizers = optimizers.of(network, settings, hardware.number_type)
        self.averages = Averages(self.network, settings.average)
        self.processes: Processes = ALONE
        self.forward: nn.Module = self.network
        self.halves: Halves | None = Halves(self) if hardware.device.type == "cpu" else None
        self.teacher: Teacher | None = None
        self.translated = False  # whether `targets` goes on with a teacher's translations
        self.mix = self.temperature = 1.0
        self.count = 0
        counts = self.targets.counts + 1
        self.step_count = max(1, int(settings.batch_size * counts[train].sum() / max(1, self.lengths[train].sum())))
        self.validation_count = int(counts[val].sum())

    @property
    def epochs(self) -> float:
        return self.batches.epochs

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch, which is filled up to equal parts (`Learner`)."""
        if len(self.batches.pairs) < processes.count:
            raise ConfigError(f"{len(self.batches.pairs)} training pairs for {processes.count} processes; start fewer")
        self.processes, self.halves = processes, None
        self.network.train()
        example = self.inputs(self.batches.pairs[:1], self.batches.pairs[:1])
        self.forward = distributed.averaging(self.network, *example[:3])

    def teach(self, teacher: Teacher, temperature: float, mix: float) -> None:
        """Learn from a teacher too: of the loss, `mix` at most is the distance to its probabilities."""
        self.teacher, self.temperature, self.mix = teacher, temperature, mix

    def read_translations(self, translations: Ragged) -> None:
        """Read a teacher's translations of all pairs (N) in turn with the data: each pass half of the one and half of
        the other."""
        numbers = np.concatenate([self.targets.numbers, translations.numbers])
        starts = np.concatenate([self.targets.starts, self.targets.starts[-1] + translations.starts[1:]])
        self.targets, self.translated = Ragged(numbers, starts), True

    def step(self, rate: float, spent: float) -> Tensor:
        """One update on the next batch; returns its mean loss in nats per token, smoothing included."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.network.train()
        batch = self.batches.next()
        parts = self.processes.count
        padded = np.resize(batch, -(-len(batch) // parts) * parts)  # the first ones again, where parts would differ
        answers = padded
        if self.translated:
            answers = padded + len(self.sources) * ((padded + self.batches.passed) % 2)
        tokens = int((self.targets.counts[answers] + 1).sum())
        mine = self.processes.part(len(padded))
        self.network.zero_grad(set_to_none=True)
        if self.halves:
            loss = self.halves.step(padded, answers, rate, tokens)
        else:
            # A mean over this process's tokens; the processes' parts weigh as many tokens as they have.
            inputs = self.inputs(padded[mine], answers[mine])
            loss = self.loss(self.forward, inputs, rate) * ((inputs[3] >= 0).sum() * parts / tokens)
            loss.backward()
            self.clip()
            for optimizer in self.optimizers:
                optimizer.step()
            self.averages.update()
        self.count += tokens
        return loss.detach()

    def clip(self) -> None:
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)

    def loss(self, network: nn.Module, batch: Batch, rate: float, generator: torch.Generator | None = None) -> Tensor:
        """Mean loss of a batch in nats per token, smoothing included, and its distance to a teacher."""
        sources, counts, inputs, wanted = batch
        smoothing = self.settings.label_smoothing
        with self.hardware.autocast():
            if self.teacher is None:
                loss: Tensor = network(sources, counts, inputs, wanted, smoothing, generator)
                return loss
            logits = network(sources, counts, inputs, wanted, None, generator).float()  # (N, V)
        hard = F.cross_entropy(logits, wanted[wanted >= 0], label_smoothing=smoothing)
        share = distillation.share(self.mix, rate, self.settings.learning_rate)
        soft = distillation.distance(logits, self.teacher(*batch), self.temperature)
        return (1 - share) * hard + share * soft

    def inputs(self, pairs: np.ndarray, answers: np.ndarray) -> Batch:
        """sources (B, S), counts (B,), targets that are read (B, T), and those that are to come (B, T)."""
        tensors = batch_of(self.sources, self.targets, pairs, answers)
        device = self.hardware.device
        return tensors[0].to(device), tensors[1].to(device), tensors[2].to(device), tensors[3].to(device)

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """`val_loss`, nats per token without smoothing, and `val_token_accuracy` of the averaged weights."""
        batches = self.val[: max(1, round(share * len(self.val)))]
        found = [0.0, 0.0, 0.0]  # loss, right, tokens
        with self.averages.in_network(), self.hardware.autocast():
            self.network.eval()
            for batch in batches[self.processes.rank :: self.processes.count]:
                sources, counts, inputs, wanted = self.inputs(batch, batch)
                logits = self.network(sources, counts, inputs, wanted).float()
                truths = wanted[wanted >= 0]
                found[0] += F.cross_entropy(logits, truths, reduction="sum").item()
                found[1] += (logits.argmax(dim=1) == truths).sum().item()
                found[2] += len(truths)
        loss, right, total = self.processes.sum(*found)
        return {"val_loss": loss / total, "val_token_accuracy": right / total}

    def weights(self) -> dict[str, Tensor]:
        return self.averages.tensors

    def trained_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.network.load_state_dict(weights)
        self.averages.restart()

    def samples(self) -> dict[str, bytes]:
        return {}

    def state(self) -> tuple[dict[str, Tensor], Json]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for number, optimizer in enumerate(self.optimizers):
            tensors |= optimizer_state.to_tensors(optimizer, f"optimizer.{number}")
        return tensors, {"batches": self.batches.state(), "count": self.count, "updates": self.averages.updates}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        part = "network."
        self.network.load_state_dict({n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)})
        for number, optimizer in enumerate(self.optimizers):
            optimizer_state.from_tensors(optimizer, f"optimizer.{number}", tensors)
        self.batches.load_state(plain["batches"])
        self.count, self.averages.updates = plain["count"], plain["updates"]

    def start_from(self, folder: ModelFolder) -> None:
        """Take the weights of a trained model of the same sizes and vocabulary. Raises InputError when they differ."""
        if not vocabularies.alike(folder, self.prepared):
            raise InputError(
                f"train.start_from: {folder.path} has another vocabulary than the prepared data; prepare with the same "
                "files and tokenizer"
            )
        with from_weights.started_from(folder):
            graph.from_arrays(self.network, folder.weights())
        self.averages.restart()

    def export(self) -> Export:
        """Graph and weights of the averaged network, which takes the place of the trained one, and the vocabulary."""
        self.network.load_state_dict(self.averages.tensors)
        self.network.eval()
        names = [name for name in vocabularies.FILES if name in self.prepared]
        return Export(*graph.export(self.network), {name: ModelFile(self.prepared.read_bytes(name)) for name in names})

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """Nothing is fitted."""
        return Finish()


def batch_of(sources: Ragged, targets: Ragged, pairs: np.ndarray, answers: np.ndarray) -> Batch:
    """Of some `pairs` (B,), with `answers` (B,) as their targets: sources (B, S) with their ends, counts (B,), targets
    that are read (B, T), those to come (B, T).

    A boundary ends a source and begins and ends a target; what fills up the targets to come is NOTHING.
    """
    counts, ends = sources.counts[pairs], targets.counts[answers]
    read = np.pad(sources.padded(pairs), ((0, 0), (0, 1)), constant_values=BOUNDARY)
    read = np.where(np.arange(read.shape[1]) < counts[:, None], read, BOUNDARY)
    read = read[:, : int(counts.max()) + 1]
    written = targets.padded(answers)
    columns = np.arange(written.shape[1] + 1)
    before = np.pad(written, ((0, 0), (1, 0)), constant_values=BOUNDARY)
    after = np.pad(written, ((0, 0), (0, 1)), constant_values=BOUNDARY)
    after = np.where(columns < ends[:, None], after, np.where(columns == ends[:, None], BOUNDARY, NOTHING))
    arrays = (read, counts + 1, before, after)
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)  # type: ignore[return-value]


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> TranslateLearner:
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    network = build(settings.model, prepared_folder.read_meta(prepared)["vocab_size"])
    return TranslateLearner(network, prepared, settings.train, settings.seed, hardware)
