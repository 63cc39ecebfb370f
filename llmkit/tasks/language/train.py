"""What the training loop drives for a language model: one update, one validation, the state to go on from.

In: the prepared folder (train.npy, val.npy, meta.json) and the settings. Out: trained weights, through `weights`,
which `graph.py` writes as a model folder.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from torch import Tensor
from torch.nn import functional as F

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import tokenizer as tokenizers
from llmkit.data.prepared_folder import read_meta
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.tasks.language import baseline, dropout, graph, mixing, optimizers
from llmkit.tasks.language.batches import TrainingStreams, Window, scoring_windows
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Config, Model, Train
from llmkit.training import devices, distributed, from_weights, optimizer_state
from llmkit.training.devices import Hardware
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.learner import Export, Finish

# Of a budget in minutes, before its clock starts: what follows from the machine's speed comes from real steps.
PROBE_SECONDS, PROBE_SHARE, PROBE_STEPS = 2.0, 0.02, 3  # at most, share of the budget at most, steps at least
TIE_FROM = 1000  # tokens in the vocabulary from which the embedding is a real share of the weights
VALIDATION_STREAMS, VALIDATION_LENGTH = 16, 256
CUDA_VALIDATION_STREAMS = 256  # a GPU is as fast with so many
MAX_LOGITS = 1 << 25  # numbers in one window's logits (128 MiB)


def build(model: Model, vocab_size: int) -> LanguageModel:
    """The network that the settings describe; a dropout that they leave open is 0."""
    return LanguageModel(
        vocab_size,
        model.embedding_size or usual_embedding_size(vocab_size),
        model.hidden_size,
        model.layers,
        tie_weights=vocab_size >= TIE_FROM if model.tie_weights is None else model.tie_weights,
        dropout=model.dropout or 0.0,
        input_dropout=model.input_dropout or 0.0,
        recurrent_dropout=model.recurrent_dropout or 0.0,
    )


def usual_embedding_size(vocab_size: int) -> int:
    """8 times the cube root of the vocabulary's size, in steps of 16: 32 for 65 tokens, 160 for 8,000.

    For characters 128 are a little better than 32 in as many steps, each of which takes a quarter longer
    (benchmarks/ablations.md).
    """
    return max(16, 16 * round(vocab_size ** (1 / 3) / 2))


class LanguageLearner:
    """Truncated back-propagation through time over parallel streams with carried state (a `Learner`)."""

    unit = "tokens"

    def __init__(
        self,
        network: LanguageModel,
        prepared: Files,
        settings: Train,
        seed: int,
        hardware: Hardware,
        passes: float,
        dropouts: Callable[[float], dropout.Dropouts] | None = None,
    ):
        """`passes`: over the training split, that the budget is expected to make; `dropouts(passes)` are those of the
        network then, by default the ones that it has."""
        self.prepared, self.settings, self.hardware = prepared, settings, hardware
        train, self.val = (prepared.array(f"{name}.npy", mapped=True) for name in ("train", "val"))
        self.network = network.to(hardware.device)
        boundary_id = read_meta(prepared)["boundary_id"]
        self.streams = TrainingStreams(
            train, settings.batch_size, settings.sequence_length, boundary_id, seed, settings.state_resets
        )
        self.dropouts = dropouts
        self.optimizers = optimizers.of(network, settings, hardware.number_type)
        self.expect(passes)
        self.gradient_clip = settings.gradient_clip
        self.carried = network.initial_state(settings.batch_size)
        self.processes, self.mine = ALONE, slice(None)  # the streams of this process
        self.forward: torch.nn.Module = self.network
        self.count = 0
        self.step_count = settings.batch_size * settings.sequence_length
        self.validation_count = len(self.val) - 1

    @property
    def epochs(self) -> float:
        return self.streams.epochs

    def expect(self, passes: float) -> None:
        """Set what depends on how often the budget reads the training split: dropouts, the length of Muon's steps."""
        self.passes = passes
        if self.dropouts:
            chosen = self.dropouts(passes)
            self.network.dropout, self.network.input_dropout, self.network.recurrent_dropout = chosen
        tokens = self.settings.batch_size * self.settings.sequence_length
        optimizers.expect(self.optimizers, self.network, passes * len(self.streams.tokens) / tokens)

    def distribute(self, processes: Processes) -> None:
        """Train on this process's streams of each window; every process reads the same windows (`Learner`)."""
        batch_size = self.settings.batch_size
        if batch_size % processes.count:
            more = batch_size + processes.count - batch_size % processes.count
            raise ConfigError(
                f"train.batch_size {batch_size} does not fall into equal parts for {processes.count} processes; "
                f"set train.batch_size={more}, or start another number of processes"
            )
        self.processes, self.mine = processes, processes.part(batch_size)
        total, count = processes.sum(self.passes, 1.0)
        self.expect(total / count)  # each has timed its own steps, and all must do the same
        self.carried = self.network.initial_state(batch_size // processes.count)
        tokens = torch.zeros(1, batch_size // processes.count, dtype=torch.int64, device=self.hardware.device)
        self.network.train()
        self.forward = distributed.averaging(self.network, tokens, self.carried, self.hardware.number_type, tokens)

    def step(self, rate: float, spent: float) -> Tensor:
        """One update on the next window; returns the mean loss of this process's streams in nats per token."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.network.train()
        tokens, carries = self.streams.next()
        window = devices.given(tokens[:, self.mine], self.hardware.device)  # (T + 1, B)
        kept = devices.given(carries[self.mine], self.hardware.device)[:, None]  # (B, 1)
        before = self.carried[0] * kept, self.carried[1] * kept
        loss, state = self.forward(window[:-1], before, self.hardware.number_type, window[1:])
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.carried = (state[0].detach(), state[1].detach())
        self.count += tokens[1:].size
        return loss.detach()

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """`val_loss`: nats per token over the validation split (or a `share` from its start), with carried state."""
        self.network.eval()
        part = self.val[: max(2, round(share * len(self.val)))]
        return {"val_loss": score(self.network, part, self.hardware, self.processes)}

    def weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def trained_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.network.load_state_dict(weights)

    def samples(self) -> dict[str, bytes]:
        return {}

    def state(self) -> tuple[dict[str, Tensor], Json]:
        h, c = (torch.cat(self.processes.gather(part), dim=1) for part in self.carried)  # (L, B, H) of all streams
        tensors = {"carried.h": h, "carried.c": c}
        for number, optimizer in enumerate(self.optimizers):
            tensors |= optimizer_state.to_tensors(optimizer, f"optimizer.{number}")
        return tensors, {"streams": self.streams.state(), "count": self.count, "passes": self.passes}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        h, c = (tensors[name][:, self.mine].to(self.hardware.device) for name in ("carried.h", "carried.c"))
        self.carried = h, c
        for number, optimizer in enumerate(self.optimizers):
            optimizer_state.from_tensors(optimizer, f"optimizer.{number}", tensors)
        self.streams.load_state(plain["streams"])
        self.count = plain["count"]
        self.expect(plain["passes"])  # not what was timed now

    def start_from(self, folder: ModelFolder) -> None:
        """Take the weights of a trained model of the same sizes and vocabulary. Raises InputError when they differ."""
        if folder.read_bytes(tokenizers.FILE) != self.prepared.read_bytes(tokenizers.FILE):
            raise InputError(
                f"train.start_from: {folder.path} has another vocabulary than the prepared data; "
                "prepare with the same files and tokenizer"
            )
        with from_weights.started_from(folder):
            graph.from_arrays(self.network, folder.weights())

    def export(self) -> Export:
        """Graph and weights of the network, and the tokenizer."""
        files = {tokenizers.FILE: ModelFile(self.prepared.read_bytes(tokenizers.FILE))}
        return Export(*graph.export(self.network), files)

    @torch.no_grad()
    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """The run's n-gram model is what `val_loss` is compared with and, with `train.ngram`, mixed into the model."""
        found = baseline.of_run(self.prepared, work, progress, self.settings.ngram_least_count)
        kinds = ("dropout", "input_dropout", "recurrent_dropout")
        metrics = found.metrics() | {kind: getattr(self.network, kind) for kind in kinds}
        if self.settings.budget[0] == "max_minutes":
            metrics["expected_passes"] = round(self.passes, 4)
        if not self.settings.ngram:
            return Finish({}, metrics, baseline.warning(val_loss, metrics))
        self.network.eval()
        progress("fitting the mixture", 0, 2)
        numbers = len(self.val) * self.network.vocab_size
        mixture = mixing.fit_windows(found.model, self._scored_windows(), numbers)
        progress("fitting the mixture", 1, 2)
        loss = mixing.loss(mixture, self._scored_windows())
        progress("fitting the mixture", 2, 2)
        metrics |= {"val_loss": loss, "lstm_val_loss": val_loss}
        return Finish({mixing.FILE: ModelFile(mixing.to_bytes(mixture))}, metrics, baseline.warning(loss, metrics))

    def _scored_windows(self) -> Iterator[tuple[Window, np.ndarray]]:
        """The validation split in windows, with the network's logits (T, B, V) on each."""
        for window, logits in scored_windows(self.network, self.val, self.hardware):
            yield window, logits.float().cpu().numpy()


def score(
    network: LanguageModel,
    tokens: np.ndarray,
    hardware: Hardware,
    processes: Processes = ALONE,
) -> float:
    """Mean loss in nats per token of a stream, each token but the first predicted once, state carried along.

    Several processes share the work and get the same figure.
    """
    total, count = 0.0, 0
    for window, logits in scored_windows(network, tokens, hardware, processes):
        losses = F.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(window.targets).to(hardware.device).flatten(), reduction="none"
        )
        total += losses[torch.from_numpy(window.counted).to(hardware.device).flatten()].double().sum().item()
        count += int(window.counted.sum())
    all_total, all_count = processes.sum(total, count)
    return all_total / all_count


def scored_windows(
    network: LanguageModel,
    tokens: np.ndarray,
    hardware: Hardware,
    processes: Processes = ALONE,
) -> Iterator[tuple[Window, Tensor]]:
    """A scoring pass over a stream, state carried along: each window with its logits (T, B, V).

    Of several processes each goes over its share of the parallel parts, which may be none.
    """
    streams = CUDA_VALIDATION_STREAMS if hardware.device.type == "cuda" else VALIDATION_STREAMS
    length = max(1, min(VALIDATION_LENGTH, MAX_LOGITS // (streams * network.vocab_size)))
    state = None
    for window in scoring_windows(tokens, streams, length):
        window = window.columns(processes.part(window.inputs.shape[1]))
        if window.inputs.size == 0:
            return
        state = state or network.initial_state(window.inputs.shape[1])
        logits, state = network(torch.from_numpy(window.inputs).to(hardware.device), state, hardware.number_type)
        yield window, logits


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> LanguageLearner:
    """The learner of a prepared folder, its weights initialised from the seed.

    Where the data is shorter than a window, the window is shortened with a warning.
    """
    torch.manual_seed(settings.seed)
    tokens = len(prepared.array("train.npy", mapped=True))
    train = fit_to_data(settings.train, tokens, warn)
    vocab_size = read_meta(prepared)["vocab_size"]
    seconds = None
    if train.budget[0] == "max_minutes":
        probed = LanguageLearner(build(settings.model, vocab_size), prepared, train, settings.seed, hardware, 1.0)
        seconds = seconds_of_step(probed, min(PROBE_SECONDS, PROBE_SHARE * 60 * train.budget[1]))
        torch.manual_seed(settings.seed)
    network = build(settings.model, vocab_size)
    passes = dropout.expected_passes(train, tokens, seconds)
    weights = network.flops_per_token / 2
    return LanguageLearner(
        network,
        prepared,
        train,
        settings.seed,
        hardware,
        passes,
        lambda passes: dropout.chosen(settings.model, passes, weights),
    )


def seconds_of_step(learner: LanguageLearner, seconds: float) -> float:
    """Median of real steps, timed for so many seconds after a first one; the learner is then no longer new."""
    taken: list[float] = []
    learner.step(learner.settings.learning_rate, 0.0).item()
    until = time.monotonic() + seconds
    while len(taken) < PROBE_STEPS or time.monotonic() < until:
        start = time.monotonic()
        learner.step(learner.settings.learning_rate, 0.0).item()  # waits for the device
        taken.append(time.monotonic() - start)
    return float(np.median(taken))


def fit_to_data(settings: Train, tokens: int, warn: Warn) -> Train:
    """Fewer streams and shorter windows where `tokens` do not fill them."""
    batch_size = min(settings.batch_size, max(1, tokens // 4))
    length = min(settings.sequence_length, max(1, tokens // batch_size - 1))
    if (batch_size, length) == (settings.batch_size, settings.sequence_length):
        return settings
    changes = {"batch_size": batch_size, "sequence_length": length}
    shown = [
        f"train.{key} {getattr(settings, key)} → {now}" for key, now in changes.items() if now != getattr(settings, key)
    ]
    warn(
        f"the training split has only {tokens:,} tokens: {', '.join(shown)}; expect little of a model of so little text"
    )
    return structs.replace(settings, batch_size=batch_size, sequence_length=length)
