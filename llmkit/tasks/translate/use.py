"""A translation model in use: texts in, their translations with scores out; pairs in, their losses out. No torch.

The encoder reads many sources at once; then each step of the decoder writes one token of every partial translation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from llmkit.config import schema
from llmkit.data.ragged import Ragged
from llmkit.errors import InputError
from llmkit.runtime import beam
from llmkit.runtime.beam import Beam
from llmkit.runtime.graph_part import part
from llmkit.runtime.session import Session, log_softmax
from llmkit.store.model_folder import GRAPH, ModelFolder
from llmkit.tasks.translate import vocabulary as vocabularies
from llmkit.tasks.translate.batches import by_tokens
from llmkit.tasks.translate.settings import Generate
from llmkit.tasks.translate.vocabulary import BOUNDARY, clean

BATCH_TOKENS, BATCH_SENTENCES = 2048, 64  # of the sources that are translated together
SCORED_TOKENS = 4096  # of the pairs that are scored together
FAR = -1e9  # added to the scores of places that no source has
TIMES, MORE = 3, 20  # a translation is cut off after so many times the tokens of its source, and so many more


@dataclass(frozen=True)
class Translation:
    """One translation: `score` compares those of a source (the higher the better), `finish_reason` is end or length."""

    text: str
    score: float
    log_probability: float
    tokens: int
    finish_reason: str


class TranslationModel:
    """A loaded translation model."""

    def __init__(self, folder: ModelFolder, threads: int | None = None):
        self.folder, self._threads = folder, threads
        self.vocabulary = vocabularies.of_folder(folder)
        self.layers = folder.settings.model.decoder_layers
        graph, weights, where = folder.read_bytes(GRAPH), folder.weights(), str(folder.path / GRAPH)
        layers = range(self.layers)
        self._memory = [f"memory_{kind}{k}" for k in layers for kind in "kv"]
        self._sources = [f"source_{kind}{k}" for k in layers for kind in "kv"]
        self._state = [f"{kind}{k}" for k in layers for kind in "kv"]
        self._encoder = _session(graph, self._sources, weights, threads, where)
        self._step = _session(graph, ["logits", *(f"next_{n}" for n in self._state)], weights, threads, where)
        self._check()

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """A copy in another process opens the folder there."""
        return load, (self.folder, self._threads)

    def __repr__(self) -> str:
        return f"TranslationModel({str(self.folder.path)!r}, vocabulary of {self.vocabulary.size})"

    def _check(self) -> None:
        """Raise InputError for a graph of other inputs or sizes than a model has."""
        step = self._step.inputs
        past = [f"past_{name}" for name in self._state]
        known = {"tokens", "place", "source_mask", *self._memory, *past}
        if set(self._encoder.inputs) != {"sources", "source_places", "source_mask"} or set(step) != known:
            raise self.folder.damaged(GRAPH, f"it takes {', '.join([*self._encoder.inputs, *step])[:200]}")
        shapes = [step[name] for name in past]
        sizes = {tuple(shape[2::2]) for shape in shapes if len(shape) == 5}
        if len(sizes) != 1 or not all(len(shape) == 5 for shape in shapes):
            raise self.folder.damaged(GRAPH, "its state has another form than llmkit gives it")
        [self.head_sizes] = sizes
        if not all(type(size) is int and 0 < size < 1 << 16 for size in self.head_sizes):
            raise self.folder.damaged(GRAPH, "its state has no fixed sizes")

    # --- translating -------------------------------------------------------------------------------------------

    @overload
    def translate(self, texts: str, **options: Any) -> str: ...

    @overload
    def translate(self, texts: Sequence[str], **options: Any) -> list[str]: ...

    def translate(self, texts: str | Sequence[str], **options: Any) -> str | list[str]:
        """The best translation of a text, or of each of several. `options`: keys of the section `generate`.

        Raises InputError for what is no text and ConfigError for an option that is wrong.
        """
        if isinstance(texts, str):
            return self.translate([texts], **options)[0]
        return [found[0].text for found in self.candidates(texts, **options)]

    def candidates(self, texts: Sequence[str], **options: Any) -> list[list[Translation]]:
        """The `n_best` translations of each text, the best first; an empty text has an empty one."""
        for number, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise InputError(f"text {number}: a text is needed, not {type(text).__name__}")
        return self.search([self.vocabulary.of_source(clean(text)) for text in texts], settings(options))

    def search(
        self,
        sources: Sequence[np.ndarray],
        how: Generate,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[list[Translation]]:
        """The same of token ids (S,) each, without boundaries. `progress(done, total)` counts sources."""
        found = [[Translation("", 0.0, 0.0, 0, "end")] for _ in sources]
        lengths = np.array([len(source) for source in sources], np.int64)
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        size = 1 if how.greedy else how.beam
        ways = Beam(size, how.length_penalty, how.max_repeats)
        done = 0
        for which in by_tokens(order, lengths, BATCH_TOKENS, BATCH_SENTENCES):
            steps = _Decoder(self, [sources[number] for number in which])
            limits = TIMES * lengths[which] + MORE if how.max_length is None else np.full(len(which), how.max_length)
            made = beam.search(steps, limits, BOUNDARY, self.vocabulary.written, ways)
            for number, sequences in zip(which.tolist(), made, strict=True):
                found[number] = [self._translation(sequence) for sequence in sequences[: how.n_best]]
            done += len(which)
            progress(done, len(order))
        return found

    def _translation(self, sequence: beam.Sequence) -> Translation:
        reason = "end" if sequence.ended else "length"
        text = self.vocabulary.text(sequence.tokens)
        return Translation(text, sequence.score, sequence.log_probability, len(sequence.tokens), reason)

    # --- scoring -----------------------------------------------------------------------------------------------

    def score(
        self, sources: Ragged, targets: Ragged, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, float]:
        """loss (nats per token of the targets, each with its end) and token_accuracy of pairs."""
        lengths = np.maximum(sources.counts + 1, targets.counts + 1)
        loss, right, total, done = 0.0, 0, 0, 0
        for which in by_tokens(np.argsort(lengths, kind="stable"), lengths, SCORED_TOKENS):
            steps = _Decoder(self, [sources.numbers[sources.starts[n] : sources.starts[n + 1]] for n in which])
            ends = targets.counts[which]
            wanted = targets.padded(which)
            wanted = np.pad(np.where(np.arange(wanted.shape[1]) < ends[:, None], wanted, BOUNDARY), ((0, 0), (0, 1)))
            tokens, rows, zeros = np.full(len(which), BOUNDARY), np.arange(len(which)), np.zeros((len(which), 1), int)
            for place in range(int(ends.max()) + 1):
                found = steps.step(rows, zeros, tokens[:, None])[:, 0]  # (b, V)
                tokens = wanted[:, place]
                counted = place <= ends
                of_token = np.take_along_axis(found, tokens[:, None], axis=1)[:, 0]
                loss -= float(of_token[counted].sum(dtype=np.float64))
                right += int((found.argmax(axis=1) == tokens)[counted].sum())
                total += int(counted.sum())
            done += len(which)
            progress(done, len(lengths))
        return {"loss": loss / max(total, 1), "token_accuracy": right / max(total, 1)}


class _Decoder:
    """Steps of the decoder for a batch of sources (a `beam.Steps`)."""

    def __init__(self, model: TranslationModel, sources: Sequence[np.ndarray]):
        """`sources` (S,) each, without the boundary that ends them."""
        self.model, self.place = model, 0
        longest = 1 + max(map(len, sources))
        tokens = np.full((len(sources), longest), BOUNDARY, np.int64)
        self.mask = np.full((len(sources), 1, 1, longest), FAR, np.float32)
        for row, source in enumerate(sources):
            if len(source) and not 0 <= source.min() <= source.max() < model.vocabulary.size:
                raise InputError(f"{model.folder.path}: a source has tokens that the model does not know; prepare anew")
            tokens[row, : len(source)] = source
            self.mask[row, 0, 0, : len(source) + 1] = 0
        places = np.arange(longest, dtype=np.float32)[:, None]
        feeds: dict[str, np.ndarray] = {"sources": tokens, "source_places": places, "source_mask": self.mask}
        self.memory = model._encoder.run(model._sources, feeds)
        heads, each = model.head_sizes
        empty = np.zeros((len(sources), 1, heads, 0, each), np.float32)
        self.state = [empty for _ in model._state]

    def step(self, rows: np.ndarray, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        fewer = len(rows) < len(self.mask)
        if fewer:
            self.mask, self.memory = self.mask[rows], [part[rows] for part in self.memory]
        if fewer or parents.shape[1] > 1 or self.state[0].shape[1] > 1:
            self.state = [part[rows[:, None], parents] for part in self.state]
        model = self.model
        feeds: dict[str, np.ndarray] = {
            "tokens": tokens,
            "place": np.full((1, 1), self.place, np.float32),
            "source_mask": self.mask,
        }
        feeds |= dict(zip(model._memory, self.memory, strict=True))
        feeds |= {f"past_{name}": part for name, part in zip(model._state, self.state, strict=True)}
        logits, *self.state = model._step.run(["logits", *(f"next_{name}" for name in model._state)], feeds)
        if logits.shape != (*tokens.shape, model.vocabulary.size):
            raise model.folder.damaged(GRAPH, "it has another vocabulary than the tokenizer")
        self.place += 1
        return log_softmax(logits)


def _session(
    graph: bytes, outputs: list[str], weights: dict[str, np.ndarray], threads: int | None, where: str
) -> Session:
    data, names = part(graph, outputs, where)
    return Session(data, {name: array for name, array in weights.items() if name in names}, threads, where)


def settings(options: Mapping[str, object]) -> Generate:
    """The section `generate` from keyword options. Raises ConfigError for an unknown or wrong one."""
    return schema.check(options, Generate, {}, "generate")


def load(folder: ModelFolder, threads: int | None = None) -> TranslationModel:
    """The model of a folder, ready to use."""
    return TranslationModel(folder, threads)
