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
from llmkit.store.model_folder import GRAPH, ModelFolder
from llmkit.tasks.translate import decoder, vocabulary as vocabularies
from llmkit.tasks.translate.batches import by_tokens
from llmkit.tasks.translate.decoder import Decoder
from llmkit.tasks.translate.settings import Generate
from llmkit.tasks.translate.vocabulary import BOUNDARY, clean

MOST_TOKENS = 4096  # of a source
SCORED_TOKENS = 4096  # of the pairs that are scored together


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
        layers, size, where = folder.settings.model.decoder_layers, self.vocabulary.size, str(folder.path / GRAPH)
        self.parts = decoder.Parts(folder.read_bytes(GRAPH), folder.weights(), layers, size, threads, where)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """A copy in another process opens the folder there."""
        return load, (self.folder, self._threads)

    def __repr__(self) -> str:
        return f"TranslationModel({str(self.folder.path)!r}, vocabulary of {self.vocabulary.size})"

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
        for number, source in enumerate(sources, 1):
            if len(source) > MOST_TOKENS:
                raise InputError(
                    f"source {number} has {len(source):,} tokens, {MOST_TOKENS:,} are the most; cut it into sentences"
                )
        found = [[Translation("", 0.0, 0.0, 0, "end")] for _ in sources]
        ways = Beam(1 if how.greedy else how.beam, how.length_penalty, how.max_repeats)
        done, total = 0, sum(len(source) > 0 for source in sources)
        for which, made in decoder.search(self.parts, sources, self.vocabulary, ways, how.max_length):
            for number, sequences in zip(which.tolist(), made, strict=True):
                found[number] = [self._translation(sequence) for sequence in sequences[: how.n_best]]
            done += len(which)
            progress(done, total)
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
            steps = Decoder(self.parts, [sources.numbers[sources.starts[n] : sources.starts[n + 1]] for n in which])
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


def settings(options: Mapping[str, object]) -> Generate:
    """The section `generate` from keyword options. Raises ConfigError for an unknown or wrong one."""
    return schema.check(options, Generate, {}, "generate")


def load(folder: ModelFolder, threads: int | None = None) -> TranslationModel:
    """The model of a folder, ready to use."""
    return TranslationModel(folder, threads)
