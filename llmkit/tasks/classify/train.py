"""What the training loop drives for texts: the LSTM in the shared learner, mixed with the linear part.

In: the prepared folder, with the linear part that was fitted to its training split. The LSTM sees that split only.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder, tokenizer as tokenizers
from llmkit.errors import InputError
from llmkit.predicting import labels as labellings
from llmkit.predicting.learner import ExampleLearner, Examples, Shipping
from llmkit.predicting.objectives import Labels
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.tasks.classify import graph, labelled, linear, mixing, ngrams, texts
from llmkit.tasks.classify.network import TextNetwork
from llmkit.tasks.classify.prepare import LINEAR
from llmkit.tasks.classify.settings import Config, Model
from llmkit.training import from_weights
from llmkit.training.devices import Hardware
from llmkit.training.learner import FUTILE, Export, Finish

MIXTURE = "mixture"  # the network's buffer
# Share of the budget, and validations in a row, in which an LSTM has to bring more than so little: its gain, in
# standard errors, grows until the end where it has one.
CHANCE, USELESS, LITTLE = 0.25, 2, 0.5


class TextLearner(ExampleLearner[TextNetwork]):
    """The shared learner, which fits the mixture to the validation split.

    `says(examples, weights)` is what the linear part says of some examples (B, C), by a network's weights; `labels`
    (N,) are what they are, None leaves the mixture.
    """

    says: Callable[[np.ndarray, Mapping[str, Tensor]], Tensor]
    labels: np.ndarray | None = None
    spent = 0.0
    """Share of the budget."""

    useless = 0
    """Validations in a row in which the LSTM brought little."""

    def step(self, rate: float, spent: float) -> Tensor | None:
        self.spent = spent
        return super().step(rate, spent)

    def validate(self, share: float = 1.0) -> dict[str, float]:
        """Of the mixture; FUTILE where the LSTM has had its chance and added nothing, or is to have no say."""
        found = super().validate(share)
        had_its_chance = self.spent >= CHANCE and self.useless >= USELESS
        futile = not self.network.with_lstm if self.labels is None else had_its_chance
        return found | ({FUTILE: 1.0} if futile else {})

    @torch.no_grad()
    def _outputs(self, examples: np.ndarray) -> np.ndarray:
        """Logits (N, C) of the mixture, fitted to these examples."""
        if self.labels is None:
            return super()._outputs(examples)
        self._mix(np.stack([np.zeros(self.network.classes), np.ones(self.network.classes)]))
        lstm, linear = super()._outputs(examples), self.says(examples, self.averages.tensors).cpu().numpy()
        mixture, errors = mixing.weigh(linear, lstm, self.labels[examples])
        self.useless = 0 if errors > LITTLE else self.useless + 1
        self._mix(mixture)
        mixed: np.ndarray = mixture[0] * linear + mixture[1] * lstm
        return mixed

    def _mix(self, mixture: np.ndarray) -> None:
        for place in (self.averages.tensors[MIXTURE], self.network.mixture):
            place.copy_(torch.from_numpy(mixture))

    def export(self) -> Export:
        """Graph and weights, with the mixture of the weights that were kept."""
        if self.labels is not None:
            self._outputs(self.examples.val)
        return super().export()

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """What the objective fits; whether the LSTM is in the model."""
        found = super().finish(val_loss, work, progress)
        if self.labels is None:
            return found
        share = self.averages.tensors[MIXTURE].cpu().numpy()
        found.metrics["lstm"] = bool(share[1].any())
        found.metrics["mixture"] = {"linear": float(share[0].mean()), "lstm": float(share[1].mean())}
        return found


def build(model: Model, vocab_size: int, features: int, classes: int) -> TextNetwork:
    """The network that the settings describe."""
    return TextNetwork(
        vocab_size,
        features,
        classes,
        embedding_size=model.embedding_size,
        hidden_size=model.hidden_size,
        bidirectional=model.bidirectional,
        dropout=model.dropout,
        input_dropout=model.input_dropout,
        with_linear=model.ngram_share != 0,
    )


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> TextLearner:
    """The learner of a prepared folder: the linear part as it was fitted, the LSTM initialised from the seed."""
    torch.manual_seed(settings.seed)
    names, labels = prepared_folder.read_meta(prepared)["labels"], prepared.array("labels.npy")
    train, val = (prepared_folder.examples_of(prepared, name)[0] for name in ("train", "val"))
    reader = texts.Reader(prepared, settings.prepare)
    examples = reader.read(labelled.read(prepared))
    network = build(settings.model, reader.encoder.vocab_size, len(reader.ngrams.hashes), len(names))
    if network.with_linear:
        _fill(network, prepared, settings, labels[train])

    def says(which: np.ndarray, weights: Mapping[str, Tensor]) -> Tensor:
        some, none = examples.take(which), np.zeros(len(which), np.int32)
        read = linear.Texts(some.features, some.values, none, network.features, 0, network.classes)
        return read.logits(weights["ngram_table"].cpu()) + weights["ngram_bias"].cpu()

    def inputs(which: np.ndarray) -> Sequence[Tensor]:
        tokens, counts = examples.tokens.padded(which).T, examples.tokens.counts[which]  # (T, B), (B,)
        wanted = network.with_linear and not network.training
        said = says(which, dict(network.named_buffers())) if wanted else torch.zeros(len(which), network.classes)
        arrays = [torch.from_numpy(np.ascontiguousarray(array)) for array in (tokens, counts)]
        return [tensor.to(hardware.device) for tensor in (*arrays, said)]

    files = {name: ModelFile(prepared.read_bytes(name)) for name in (tokenizers.FILE, ngrams.FILE, ngrams.HOW)}
    found = TextLearner(
        network,
        Examples(inputs, train, val, examples.tokens.counts),
        Labels(labels, names, train, settings.train, hardware.device),
        Shipping(graph.export, files, lambda network, folder: start_from(network, folder, prepared, names)),
        settings.train,
        settings.seed,
        hardware,
    )
    found.says = says
    if network.with_linear and settings.model.ngram_share is None:
        found.labels = labels.astype(np.int64)
    return found


def _fill(network: TextNetwork, prepared: Files, settings: Config, labels: np.ndarray) -> None:
    """Put the linear part into the network, whose training texts have the `labels` (N,). Raises InputError."""
    classes, features = network.classes, network.features
    table, bias = (prepared.array(name) for name in LINEAR)
    for name, array, shape in zip(LINEAR, (table, bias), ((features + 1, classes), (classes,)), strict=True):
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise prepared.damaged(name, f"{array.shape} of {array.dtype} in place of {shape} numbers")
    if settings.train.class_weights == "balanced":  # as if all labels were as frequent: other odds beforehand
        bias = bias - np.log(np.maximum(np.bincount(labels, minlength=classes), 1) / len(labels)).astype(np.float32)
    network.ngram_table.copy_(torch.from_numpy(table))
    network.ngram_bias.copy_(torch.from_numpy(bias))
    if settings.model.ngram_share is not None:
        shares = [settings.model.ngram_share, 1 - settings.model.ngram_share]
        network.mixture.copy_(torch.tensor(shares)[:, None].expand(2, classes))


def start_from(network: TextNetwork, folder: ModelFolder, prepared: Files, names: list[str]) -> None:
    """Take the weights of a model of this task, or of a language model its embedding and first layer.

    Raises InputError for one of another vocabulary, other labels or other sizes.
    """
    if folder.read_bytes(tokenizers.FILE) != prepared.read_bytes(tokenizers.FILE):
        raise InputError(
            f"train.start_from: {folder.path} has another vocabulary than the prepared data; "
            f"prepare with prepare.tokenizer.file={folder.path / tokenizers.FILE}"
        )
    arrays = folder.weights()
    if "embedding" not in arrays:
        raise InputError(f"train.start_from: {folder.path} has no LSTM to start from: it added nothing there")
    with from_weights.started_from(folder):
        if folder.task == "language":
            scale = arrays.get("embedding_scale", np.ones(1, np.float32))
            lstm = (arrays[f"lstm0.{part}"] for part in "WRB")
            graph.load_lstm(network, arrays["embedding"] * scale, *lstm)
            return
        if labellings.read(folder).labels != names:
            raise InputError(f"train.start_from: {folder.path} has other labels than the prepared data")
        graph.from_arrays(network, arrays)
