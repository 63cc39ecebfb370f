"""What the training loop drives for texts: the linear part fitted at once, the LSTM in the shared learner.

In: the prepared folder. Both parts see the training split only.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from llmkit.config.schema import to_data
from llmkit.data import prepared_folder
from llmkit.errors import InputError
from llmkit.predicting.learner import ClassifierLearner
from llmkit.predicting.use import read_labels
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import graph, linear, ngrams, prepare
from llmkit.tasks.classify.network import TextNetwork
from llmkit.tasks.classify.settings import Config, Model
from llmkit.tasks.classify.texts import TOKENIZER, Examples, Reader

_LAST_FIT: dict[str, tuple[Tensor, Tensor]] = {}  # table and bias by the hash of what they were fitted to


def build(model: Model, vocab_size: int, features: int, classes: int) -> TextNetwork:
    """The network that the settings describe."""
    return TextNetwork(
        vocab_size,
        features,
        classes,
        model.embedding_size,
        model.hidden_size,
        model.bidirectional,
        model.dropout,
        model.input_dropout,
        model.ngram_share,
    )


def learner(
    prepared: Path, settings: Config, device: torch.device, number_type: torch.dtype, warn: Callable[[str], None]
) -> ClassifierLearner:
    """The learner of a prepared folder: the linear part fitted, the other weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    names, labels = prepared_folder.read_meta(prepared)["labels"], np.load(prepared / "labels.npy")
    train, val = (prepared_folder.examples_of(prepared, name)[0] for name in ("train", "val"))
    reader = Reader(prepared, settings.prepare)
    examples = reader.read(prepare.read(prepared))

    def inputs(which: np.ndarray) -> Sequence[Tensor]:
        arrays = (
            examples.tokens.padded(which).T,  # (T, B)
            examples.tokens.counts[which],
            examples.features.padded(which),
            examples.values.padded(which),
        )
        return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]

    network = build(settings.model, reader.encoder.vocab_size, len(reader.ngrams.buckets), len(names))

    def fit(network: nn.Module) -> None:
        _fit_ngrams(network, examples, labels, train, reader.ngrams.word_features, settings)  # type: ignore[arg-type]

    return ClassifierLearner(
        network,
        inputs,
        labels,
        names,
        train,
        val,
        settings.train,
        settings.seed,
        device,
        number_type,
        graph.export,  # type: ignore[arg-type]
        {TOKENIZER: prepared / TOKENIZER, ngrams.FILE: prepared / ngrams.FILE},
        lambda network, folder: start_from(network, folder, prepared, names),  # type: ignore[arg-type]
        examples.tokens.counts,
        fit if network.ngram_share else None,
    )


def _fit_ngrams(
    network: TextNetwork,
    examples: Examples,
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


def start_from(network: nn.Module, folder: ModelFolder, prepared: Path, names: list[str]) -> None:
    """Take the weights of a model of this task, or of a language model its embedding and first layer.

    Raises InputError for one of another vocabulary, other labels or other sizes.
    """
    assert isinstance(network, TextNetwork)
    if (folder.path / TOKENIZER).read_bytes() != (prepared / TOKENIZER).read_bytes():
        raise InputError(
            f"train.start_from: {folder.path} has another vocabulary than the prepared data; "
            f"prepare with prepare.tokenizer.file={folder.path / TOKENIZER}"
        )
    arrays = folder.weights()
    try:
        if folder.task == "language":
            scale = arrays.get("embedding_scale", np.ones(1, np.float32))
            lstm = (arrays[f"lstm0.{part}"] for part in "WRB")
            graph.load_lstm(network, arrays["embedding"] * scale, *lstm)
            return
        if read_labels(folder)[0] != names:
            raise InputError(f"train.start_from: {folder.path} has other labels than the prepared data")
        graph.from_arrays(network, arrays)
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"train.start_from: {folder.path} has other sizes than the section model; take its sizes: "
            f"{to_data(folder.config.settings.model)}"
        ) from error
