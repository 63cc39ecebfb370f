"""A language model in use, an LSTM or one mixed with n-grams: writes and scores. Never imports torch.

In: a model folder. State goes in and out of the graph, so each token costs one step whatever came before it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmkit.config import schema
from llmkit.console.callbacks import Warn
from llmkit.data import cleaning, tokenizer as tokenizers
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.runtime.session import Session, log_softmax, open_session
from llmkit.store.model_folder import GRAPH, ModelFolder
from llmkit.tasks.language import mixing, surprise
from llmkit.tasks.language.batches import scoring_windows
from llmkit.tasks.language.settings import Generate
from llmkit.tasks.language.streams import Streams, Writing, sampling_of

PROMPT_WINDOW = 256  # tokens of a prompt read in one call
# Fixed, so that an int8 model scores the same whatever else is scored: its activation scale sees the whole window.
SCORING_STREAMS, SCORING_LENGTH = 16, 64
# Of sequences that are scored after one context: streams of a call, and numbers of its logits.
AFTER_STREAMS, AFTER_NUMBERS = 512, 1 << 24
State = dict[str, np.ndarray]


@dataclass
class Text:
    """One text being written; `text` holds what is decided (nothing that may still turn out to be a stop string)."""

    prompt: str
    generator: np.random.Generator
    decoder: tokenizers.StreamDecoder
    stops: tuple[str, ...]
    ids: list[int] = field(default_factory=list)
    text: str = ""
    held: str = ""
    finish_reason: str | None = None
    nodes: list[int] = field(default_factory=list)
    """Of the n-gram model, for the context so far."""

    def push(self, token_id: int) -> str:
        """Take a token; returns the text that is now certain."""
        self.ids.append(token_id)
        return self._take(self.decoder.push(token_id))

    def end(self, reason: str) -> str:
        """No more tokens come; returns the rest of the text."""
        if self.finish_reason is None:
            piece = self._take(self.decoder.flush())
            if self.finish_reason is None:
                self.finish_reason = reason
                piece += self.held
                self.text += self.held
                self.held = ""
            return piece
        return ""

    def _take(self, piece: str) -> str:
        if not self.stops:
            self.text += piece
            return piece
        self.held += piece
        found = [place for stop in self.stops if (place := self.held.find(stop)) >= 0]
        if found:
            piece, self.held, self.finish_reason = self.held[: min(found)], "", "stop"
        else:
            keep = max(_overlap(self.held, stop) for stop in self.stops)
            piece = self.held[: len(self.held) - keep]
            self.held = self.held[len(self.held) - keep :]
        self.text += piece
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


class LanguageModel:
    """A loaded language model. Not safe for use by several threads at once with one text each; load one per thread."""

    def __init__(self, folder: ModelFolder, threads: int | None = None):
        self.folder = folder
        self.tokenizer = tokenizers.of_folder(folder)
        self.encoder = tokenizers.Encoder(self.tokenizer)
        self.table = tokenizers.token_bytes(self.tokenizer)
        self._threads = threads
        self._session = open_session(folder, threads or 1)  # a single stream is fastest on one thread
        self._scoring: Session | None = None
        self.mixture = mixing.load(folder)
        if self.mixture and self.mixture.model.vocab_size != self.encoder.vocab_size:
            raise folder.damaged(mixing.FILE, "it has another vocabulary than the tokenizer")
        self.state_sizes = self._sizes()

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """A copy in another process opens the folder there."""
        return load, (self.folder, self._threads)

    def __repr__(self) -> str:
        return f"LanguageModel({str(self.folder.path)!r}, {self.encoder.kind} vocabulary of {self.encoder.vocab_size})"

    def _sizes(self) -> dict[str, int]:
        """Name -> H of the graph's state. Raises InputError for a graph with other inputs."""
        inputs = self._session.inputs
        sizes: dict[str, int] = {name: shape[-1] for name, shape in inputs.items() if name != "tokens" and shape}
        known = [f"{part}{layer}" for layer in range(len(sizes) // 2) for part in "hc"]
        whole = all(type(size) is int and size > 0 for size in sizes.values())
        if list(sizes) != known or inputs.keys() != {"tokens", *known} or not whole:
            raise self.folder.damaged(GRAPH, f"it takes {', '.join(inputs)}")
        return sizes

    # --- writing -----------------------------------------------------------------------------------------------

    def generate(
        self, prompt: str | Sequence[str] = "", *, seed: int = 1, warn: Warn | None = None, **options: Any
    ) -> Any:
        """Write on from a prompt: its text, without the prompt. Several prompts or `samples` give a list.

        `options` are the keys of the section `generate`: max_tokens, temperature, top_p, stop, … Raises ConfigError
        for a wrong one. The same seed gives the same text.
        """
        several = not isinstance(prompt, str) or options.get("samples", 1) > 1
        texts = self.write([prompt] if isinstance(prompt, str) else list(prompt), settings(options), seed, warn)
        return [text.text for text in texts] if several else texts[0].text

    def stream(self, prompt: str = "", *, seed: int = 1, warn: Warn | None = None, **options: object) -> Iterator[str]:
        """Like `generate` for one text, as an iterator of pieces of text as they come."""
        chosen = settings(options)
        texts, logits, state = self._begin([prompt], chosen, seed, warn)
        for _, piece in self._advance(texts, logits, state, chosen):
            if piece:
                yield piece

    def write(
        self,
        prompts: Sequence[str],
        chosen: Generate,
        seed: int,
        warn: Warn | None = None,
        emit: Callable[[int, str], None] = lambda index, piece: None,
    ) -> list[Text]:
        """`samples` texts for each prompt, written side by side in one batch; `emit(index, piece)` gets new text."""
        texts, logits, state = self._begin(prompts, chosen, seed, warn)
        for index, piece in self._advance(texts, logits, state, chosen):
            emit(index, piece)
        return texts

    def _begin(
        self, prompts: Sequence[str], chosen: Generate, seed: int, warn: Warn | None
    ) -> tuple[list[Text], np.ndarray, State]:
        """Read the prompts; returns the texts, the logits (N, V) of their first tokens and their states (1, N, H)."""
        texts: list[Text] = []
        logits, states = [], []
        stops = tuple([chosen.stop] if isinstance(chosen.stop, str) else chosen.stop)
        if seed < 0:
            raise ConfigError(f"seed {seed} is below 0; give a whole number from 0 on")
        for prompt in prompts:
            if not isinstance(prompt, str):
                raise ConfigError(f"a prompt is text, not {type(prompt).__name__}")
            read = self._cleaned(prompt)
            ids = self.encoder.encode(read).astype(np.int64)
            self._warn_of_unknown(read, ids, warn)
            ids = np.concatenate([[self.encoder.boundary_id], ids])
            row, state = self._read(ids)
            nodes = self._nodes(ids)
            for _ in range(chosen.samples):
                generator = np.random.default_rng([seed, len(texts)])
                decoder = tokenizers.StreamDecoder(self.table)
                texts.append(Text(prompt, generator, decoder, tuple(filter(None, stops)), nodes=nodes))
                logits.append(row)
                states.append(state)
        state = {name: np.concatenate([one[name] for one in states], axis=1) for name in self.state_sizes}
        return texts, np.concatenate(logits), state

    def _cleaned(self, text: str) -> str:
        """A text as the model's own were cleaned (`prepare.clean`)."""
        return cleaning.clean_prompt(text, self.folder.settings.prepare.clean)

    def _read(self, ids: np.ndarray) -> tuple[np.ndarray, State]:
        """Logits (1, V) after the last of the ids (T,), and the state there."""
        state = self._zero_state(1)
        for start in range(0, len(ids), PROMPT_WINDOW):
            logits, state = self._window(self._session, ids[start : start + PROMPT_WINDOW, None], state)
        return logits[-1], state

    def _nodes(self, ids: np.ndarray) -> list[int]:
        """The n-gram model's nodes after the last of the ids (T,); none where there is no such model."""
        nodes: list[int] = []
        if self.mixture:
            nodes = self.mixture.model.start
            for token in ids[-self.mixture.model.order :].tolist():
                nodes = self.mixture.model.follow(nodes, token)
        return nodes

    def _window(self, session: Session, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Logits (T, B, V) after each of the tokens (T, B), and the state after the last."""
        logits, *ends = session.run(None, {"tokens": tokens, **state})
        if logits.shape != (*tokens.shape, self.encoder.vocab_size) or len(ends) != len(state):
            raise self.folder.damaged(GRAPH, "it gives logits for another vocabulary than the tokenizer's")
        return logits, dict(zip(self.state_sizes, ends, strict=True))

    def _zero_state(self, streams: int) -> State:
        return {name: np.zeros((1, streams, size), np.float32) for name, size in self.state_sizes.items()}

    def _warn_of_unknown(self, prompt: str, ids: np.ndarray, warn: Warn | None) -> None:
        if not warn or not self.encoder.count_unknown(ids):
            return
        unknown = self.encoder.unknown_pieces(prompt)[:10]
        if self.encoder.kind == "char":
            what = "characters"
            unknown = [f"{character!r} (U+{ord(character):04X})" for character in unknown]
        else:
            what = "words"
        warn(f"the prompt has {what} that the model has never seen: {', '.join(unknown)}; it reads them as unknown")

    def _advance(
        self, texts: list[Text], logits: np.ndarray, state: State, chosen: Generate
    ) -> Iterator[tuple[int, str]]:
        """Write all texts to their ends, a token of each in turn; yields (index of the text, new text)."""
        streams = self.streams()
        streams.add(self.writings(texts, list(range(len(texts))), chosen), logits, state)
        while streams.active:
            for writing, piece in streams.step():
                yield writing.owner, piece

    def streams(self) -> Streams[Any]:
        """An empty set of texts for `streams.Streams`."""
        boundary, unknown = self.encoder.boundary_id, self.encoder.unknown_id
        return Streams(self._session, self.mixture, boundary, unknown, self.encoder.vocab_size)

    def begin(
        self, prompts: Sequence[str], owners: Sequence[Any], chosen: Generate, seed: int, warn: Warn | None = None
    ) -> tuple[list[Writing[Any]], np.ndarray, State]:
        """What `Streams.add` takes: `samples` texts for each prompt, each of the owner that is given for it."""
        texts, logits, state = self._begin(prompts, chosen, seed, warn)
        return self.writings(texts, owners, chosen), logits, state

    def chosen(self, options: Mapping[str, object]) -> Generate:
        """The section `generate` from keyword options. Raises ConfigError for an unknown or wrong one."""
        return settings(options)

    @staticmethod
    def writings(texts: Sequence[Text], owners: Sequence[Any], chosen: Generate) -> list[Writing[Any]]:
        """Texts with the settings that they are written by."""
        how = sampling_of(chosen)
        return [
            Writing(owner, text, how, chosen.max_tokens, chosen.stop_at_document_end)
            for text, owner in zip(texts, owners, strict=True)
        ]

    # --- scoring -----------------------------------------------------------------------------------------------

    def score(self, texts: str | Sequence[str]) -> dict[str, float]:
        """Figures of the model on texts, each read as a document: loss (nats per token), bits_per_byte, …"""
        texts = [self._cleaned(text) for text in ([texts] if isinstance(texts, str) else texts)]
        parts = [part for text in texts for part in ([self.encoder.boundary_id], self.encoder.encode(text))]
        tokens = np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)
        if len(tokens) < 2:
            raise ConfigError("there is no text to score; give at least one character")
        return self.score_tokens(tokens, sum(len(text.encode()) for text in texts))

    def score_tokens(
        self,
        tokens: np.ndarray,
        text_bytes: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
        alone: bool = False,
    ) -> dict[str, float]:
        """Metrics on a token stream (N,): every token but the first is predicted once, state carried along.

        `text_bytes`: UTF-8 bytes of its text. `alone`: of the LSTM without the n-gram model that is mixed with it.
        Returns loss (nats per token), perplexity, bits_per_byte, accuracy, top5_accuracy, tokens, unknown_tokens and
        scored_tokens_per_second.
        """
        self._scoring = self._scoring or open_session(self.folder, self._threads)
        start = time.perf_counter()
        loss, first, five, state, reader = 0.0, 0, 0, None, None
        total = len(tokens) - 1
        done = 0
        for window in scoring_windows(tokens, SCORING_STREAMS, SCORING_LENGTH):
            state = state or self._zero_state(window.inputs.shape[1])
            logits, state = self._window(self._scoring, window.inputs, state)  # (T, B, V)
            logits, targets = logits[window.counted], window.targets[window.counted]  # (n, V), (n,)
            if self.mixture and not alone:
                reader = reader or mixing.Reader(self.mixture.model, window.inputs.shape[1])
                logits = self.mixture.logits(logits, reader.read(window.inputs)[:, window.counted])
            target_logits = np.take_along_axis(logits, targets[:, None], axis=1)
            better = np.count_nonzero(logits > target_logits, axis=1)
            loss -= float(np.take_along_axis(log_softmax(logits), targets[:, None], axis=1).sum(dtype=np.float64))
            first += int(np.count_nonzero(better == 0))
            five += int(np.count_nonzero(better < 5))
            done += len(targets)
            progress(done, total)
        seconds = time.perf_counter() - start
        return {
            "loss": loss / total,
            "bits_per_byte": loss / math.log(2) / text_bytes,
            "perplexity": float(np.exp(min(loss / total, 700))),
            "accuracy": first / total,
            "top5_accuracy": five / total,
            "tokens": total,
            "unknown_tokens": self.encoder.count_unknown(np.asarray(tokens[1:])),
            "scored_tokens_per_second": total / seconds,
        }

    def losses_after(self, context: np.ndarray, ends: np.ndarray, alone: bool = False) -> np.ndarray:
        """Nats (N,) of token sequences (N, T), -1 where one is shorter, each after the ids of one context (C,).

        `alone`: of the LSTM without the n-gram model that is mixed with it.
        """
        first, state = self._read(context)
        size = max(1, min(AFTER_STREAMS, AFTER_NUMBERS // (ends.shape[1] * self.encoder.vocab_size)))
        return np.concatenate(
            [
                self._losses_of(context, ends[start : start + size], first, state, alone)
                for start in range(0, len(ends), size)
            ]
        )

    def _losses_of(
        self, context: np.ndarray, ends: np.ndarray, first: np.ndarray, state: State, alone: bool
    ) -> np.ndarray:
        """The same of a few, from the logits (1, V) and the state after the context."""
        tokens = np.maximum(ends, 0).T  # (N, T) -> (T, N)
        logits = np.repeat(first[None], len(ends), axis=1)  # (1, V) -> (1, N, V)
        if len(tokens) > 1:
            state = {name: np.repeat(one, len(ends), axis=1) for name, one in state.items()}
            more, _ = self._window(self._session, tokens[:-1], state)
            logits = np.concatenate([logits, more])  # (T, N, V)
        if self.mixture and not alone:
            before = np.repeat(context[-self.mixture.model.order :, None], len(ends), axis=1)
            nodes = self.mixture.model.match(np.concatenate([before, tokens[:-1]]))[:, len(before) - 1 :]
            flat = self.mixture.logits(logits.reshape(-1, logits.shape[-1]), nodes.reshape(-1, tokens.size))
            logits = flat.reshape(logits.shape)
        nats = -np.take_along_axis(log_softmax(logits), tokens[:, :, None], axis=2)[:, :, 0]  # (T, N)
        return np.where(ends.T >= 0, nats, 0).sum(axis=0, dtype=np.float64)

    def likeliest(self, tokens: np.ndarray) -> np.ndarray:
        """The token (T, B) that greedy writing has after each of the tokens (T, B) of parallel streams."""
        state, found = self._zero_state(tokens.shape[1]), []
        reader = mixing.Reader(self.mixture.model, tokens.shape[1]) if self.mixture else None
        for start in range(0, len(tokens), SCORING_LENGTH):
            window = tokens[start : start + SCORING_LENGTH]
            logits, state = self._window(self._session, window, state)
            if self.mixture and reader:
                flat = reader.read(window).reshape(-1, window.size)
                logits = self.mixture.logits(logits.reshape(-1, logits.shape[-1]), flat).reshape(logits.shape)
            if self.encoder.unknown_id is not None:
                logits[:, :, self.encoder.unknown_id] = -np.inf  # the model never writes "unknown"
            found.append(logits.argmax(axis=2))
        return np.concatenate(found)

    def explain(self, texts: str | Sequence[str]) -> Any:
        """How surprising each token of a text is: {text, explanation: {bits, bits_per_token, parts: [{text, bits}]}}.

        A text is read as a document from its beginning. Several texts give a list.
        """
        found = []
        for text in [texts] if isinstance(texts, str) else texts:
            ids = self.encoder.encode(self._cleaned(text))
            tokens = np.concatenate([[self.encoder.boundary_id], ids]).astype(np.int64)
            found.append({"text": text, "explanation": self.surprises(tokens)})
        return found[0] if isinstance(texts, str) else found

    def surprises(self, tokens: np.ndarray) -> Json:
        """The explanation of a token stream (N,): every token but the first, after all that came before it."""
        state, reader, nats = self._zero_state(1), None, []
        for start in range(0, len(tokens) - 1, PROMPT_WINDOW):
            window = np.asarray(tokens[start : start + PROMPT_WINDOW + 1], np.int64)[:, None]  # (T + 1, 1)
            logits, state = self._window(self._session, window[:-1], state)
            logits = logits[:, 0]  # (T, 1, V) -> (T, V)
            if self.mixture:
                reader = reader or mixing.Reader(self.mixture.model, 1)
                logits = self.mixture.logits(logits, reader.read(window[:-1])[:, :, 0])
            nats.append(-np.take_along_axis(log_softmax(logits), window[1:], axis=1)[:, 0])
        found = np.concatenate(nats).tolist() if nats else []
        return surprise.explanation(surprise.texts_of(self.table, [int(token) for token in tokens[1:]]), found)


def settings(options: Mapping[str, object]) -> Generate:
    """The section `generate` from keyword options. Raises ConfigError for an unknown or wrong one."""
    return schema.check(options, Generate, {}, "generate")


def load(folder: ModelFolder, threads: int | None = None) -> LanguageModel:
    """The model of a folder, ready to use."""
    return LanguageModel(folder, threads)
