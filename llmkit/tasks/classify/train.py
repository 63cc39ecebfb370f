"""What the training loop drives for texts: the linear part fitted at once, the LSTM in the shared learner.

In: the prepared folder. Both parts see the training split only.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llmkit.config.schema import to_data
from llmkit.console.callbacks import Warn
from llmkit.data import prepared_folder, tokenizer as tokenizers
from llmkit.errors import InputError
from llmkit.predicting import labels as labellings
from llmkit.predicting.learner import ExampleLearner, Examples, Shipping
from llmkit.predicting.objectives import Labels
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.tasks.classify import graph, linear, ngrams, prepare, texts
from llmkit.tasks.classify.network import TextNetwork
from llmkit.tasks.classify.settings import Config, Model
from llmkit.training import from_weights
from llmkit.training.devices import Hardware

_LAST_FIT: dict[str, tuple[Tensor, Tensor]] = {}  # table and bias by the hash of what they were fitted to


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
        ngram_share=model.ngram_share,
    )


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> ExampleLearner[TextNetwork]:
    """The learner of a prepared folder: the linear part fitted, the other weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    names, labels = prepared_folder.read_meta(prepared)["labels"], prepared.array("labels.npy")
    train, val = (prepared_folder.examples_of(prepared, name)[0] for name in ("train", "val"))
    reader = texts.Reader(prepared, settings.prepare)
    examples = reader.read(prepare.read(prepared))

    def inputs(which: np.ndarray) -> Sequence[Tensor]:
        arrays = (
            examples.tokens.padded(which).T,  # (T, B)
            examples.tokens.counts[which],
            examples.features.padded(which),
            examples.values.padded(which),
        )
        return [torch.from_numpy(np.ascontiguousarray(array)).to(hardware.device) for array in arrays]

    network = build(settings.model, reader.encoder.vocab_size, len(reader.ngrams.buckets), len(names))

    def fit(network: TextNetwork) -> None:
        _fit_ngrams(network, examples, labels, train, reader.ngrams.word_features, settings)

    files = {name: ModelFile(prepared.read_bytes(name)) for name in (tokenizers.FILE, ngrams.FILE)}
    return ExampleLearner(
        network,
        Examples(inputs, train, val, examples.tokens.counts),
        Labels(labels, names, train, settings.train, hardware.device),
        Shipping(graph.export, files, lambda network, folder: start_from(network, folder, prepared, names)),
        settings.train,
        settings.seed,
        hardware,
        fit if network.ngram_share else None,
    )


def _fit_ngrams(
    network: TextNetwork,
    examples: texts.Examples,
    labels: np.ndarray,
    train: np.ndarray,
    word_features: int,
    settings: Config,
) -> None:
    """Fill the linear part; the trials of a search in this process, which all fit the same, do it once."""
    weights = None
    if settings.train.class_weights == "balanced":
        weights = len(train) / (network.classes * np.maximum(np.bincount(labels[train], minlength=network.classes), 1))
    features, penalty = examples.features.take(train), settings.model.ngram_penalty
    parts = (features.numbers, features.starts, labels[train], np.float64(penalty), np.array(weights, np.float64))
    key = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    if key not in _LAST_FIT:
        values, size = examples.values.take(train), network.features
        found = linear.fit(features, values, labels[train], size, word_features, network.classes, penalty, weights)
        _LAST_FIT.clear()
        _LAST_FIT[key] = found
    table, bias = _LAST_FIT[key]
    network.ngram_table.copy_(table)
    network.ngram_bias.copy_(bias)


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
    try:
        if folder.task == "language":
            scale = arrays.get("embedding_scale", np.ones(1, np.float32))
            lstm = (arrays[f"lstm0.{part}"] for part in "WRB")
            graph.load_lstm(network, arrays["embedding"] * scale, *lstm)
            return
        if labellings.read(folder).labels != names:
            raise InputError(f"train.start_from: {folder.path} has other labels than the prepared data")
        graph.from_arrays(network, arrays)
    except from_weights.MISFITS as error:
        raise InputError(
            f"train.start_from: {folder.path} has other sizes than the section model; take its sizes: "
            f"{to_data(folder.settings.model)}"
        ) from error
