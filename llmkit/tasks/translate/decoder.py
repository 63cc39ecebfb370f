"""The two parts of a translation graph at work: the encoder once for each batch, then a step for each token.

In: the bytes of a graph, weights, token ids. Out: what beam search needs (`runtime.beam.Steps`), and the sequences that
it finds for many sources. Never imports torch.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from llmkit.errors import InputError
from llmkit.runtime import beam
from llmkit.runtime.beam import Beam
from llmkit.runtime.graph_part import part
from llmkit.runtime.session import Session, log_softmax
from llmkit.store import memory
from llmkit.tasks.translate.batches import by_tokens
from llmkit.tasks.translate.vocabulary import BOUNDARY, Vocabulary

BATCH_TOKENS, BATCH_SENTENCES = 2048, 64  # of the sources that are translated together
BATCH_PARTIAL = 256  # partial translations of a batch, at most, unless one source has more
FAR = -1e9  # added to the scores of places that no source has
TIMES, MORE = 3, 20  # a translation is cut off after so many times the tokens of its source, and so many more


class Parts:
    """The sessions of encoder and step, and the names that go between them."""

    def __init__(
        self,
        graph: bytes,
        weights: dict[str, np.ndarray],
        layers: int,
        vocab_size: int,
        threads: int | None,
        where: str,
    ):
        """`layers` of the decoder. Raises InputError, saying `where` the graph lies, for one of another form."""
        self.where, self.vocab_size = where, vocab_size
        names = [f"{kind}{k}" for k in range(layers) for kind in "kv"]
        self.sources, self.memory = [f"source_{name}" for name in names], [f"memory_{name}" for name in names]
        self.past, self.outputs = [f"past_{name}" for name in names], ["logits", *(f"next_{name}" for name in names)]
        self.encoder = _session(graph, self.sources, weights, threads, where)
        self.step = _session(graph, self.outputs, weights, threads, where)
        self.head_sizes = self._head_sizes()

    def _head_sizes(self) -> tuple[int, int]:
        """(heads, numbers of each). Raises InputError for a graph of other inputs or sizes than a model has."""
        step = self.step.inputs
        known = {"tokens", "place", "source_mask", *self.memory, *self.past}
        if set(self.encoder.inputs) != {"sources", "source_places", "source_mask"} or set(step) != known:
            raise self.damaged(f"it takes {', '.join([*self.encoder.inputs, *step])[:200]}")
        sizes = {tuple(step[name][2::2]) if len(step[name]) == 5 else () for name in self.past}
        [*found] = sizes.pop() if len(sizes) == 1 else ()
        if len(found) != 2 or not all(type(size) is int and 0 < size < 1 << 16 for size in found):
            raise self.damaged("its state has another form than llmkit gives it")
        return found[0], found[1]

    def damaged(self, why: str) -> InputError:
        """What to raise where the graph is not as it should be."""
        return InputError(f"{self.where} is damaged: {why}; make it again, or copy it anew")


class Decoder:
    """Steps of the decoder for a batch of sources (a `beam.Steps`)."""

    def __init__(self, parts: Parts, sources: Sequence[np.ndarray]):
        """`sources` (S,) each, without the boundary that ends them."""
        self.parts, self.place = parts, 0
        longest = 1 + max(map(len, sources))
        tokens = np.full((len(sources), longest), BOUNDARY, np.int64)
        self.mask = np.full((len(sources), 1, 1, longest), FAR, np.float32)
        for row, source in enumerate(sources):
            if len(source) and not 0 <= source.min() <= source.max() < parts.vocab_size:
                raise InputError(f"{parts.where}: a source has tokens that the model does not know; prepare anew")
            tokens[row, : len(source)] = source
            self.mask[row, 0, 0, : len(source) + 1] = 0
        places = np.arange(longest, dtype=np.float32)[:, None]
        feeds: dict[str, np.ndarray] = {"sources": tokens, "source_places": places, "source_mask": self.mask}
        self.memory = parts.encoder.run(parts.sources, feeds)
        heads, each = parts.head_sizes
        self.state = [np.zeros((len(sources), 1, heads, 0, each), np.float32) for _ in parts.past]

    def step(self, rows: np.ndarray, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        parts = self.parts
        fewer = len(rows) < len(self.mask)
        if fewer:
            self.mask, self.memory = self.mask[rows], [array[rows] for array in self.memory]
        if fewer or parents.shape[1] > 1 or self.state[0].shape[1] > 1:
            self.state = [array[rows[:, None], parents] for array in self.state]
        if 3 * sum(array.nbytes for array in self.state) > memory.most_bytes():
            raise InputError(
                f"{parts.where}: a translation of {self.place:,} tokens takes too much memory; lower "
                "generate.max_length or generate.beam"
            )
        place = np.full((1, 1), self.place, np.float32)
        feeds: dict[str, np.ndarray] = {"tokens": tokens, "place": place, "source_mask": self.mask}
        feeds |= dict(zip(parts.memory, self.memory, strict=True)) | dict(zip(parts.past, self.state, strict=True))
        logits, *self.state = parts.step.run(parts.outputs, feeds)
        if logits.shape != (*tokens.shape, parts.vocab_size):
            raise parts.damaged("it has another vocabulary than the tokenizer")
        self.place += 1
        return log_softmax(logits)


def search(
    parts: Parts, sources: Sequence[np.ndarray], vocabulary: Vocabulary, how: Beam, max_length: int | None = None
) -> Iterator[tuple[np.ndarray, list[list[beam.Sequence]]]]:
    """Batches of sources of about one length: (their numbers (B,), the sequences found for each).

    Sources (S,) of no token are passed over. `max_length`: tokens after which a sequence is cut off.
    """
    lengths = np.array([len(source) for source in sources], np.int64)
    order = np.argsort(lengths, kind="stable")
    most = min(BATCH_SENTENCES, max(1, BATCH_PARTIAL // how.size))
    for which in by_tokens(order[lengths[order] > 0], lengths, BATCH_TOKENS, most):
        limits = TIMES * lengths[which] + MORE if max_length is None else np.full(len(which), max_length)
        steps = Decoder(parts, [sources[number] for number in which])
        yield which, beam.search(steps, limits, BOUNDARY, vocabulary.written, how)


def _session(
    graph: bytes, outputs: list[str], weights: dict[str, np.ndarray], threads: int | None, where: str
) -> Session:
    data, names = part(graph, outputs, where)
    return Session(data, {name: array for name, array in weights.items() if name in names}, threads, where)
