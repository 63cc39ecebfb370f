"""An LSTM and an n-gram model as one: p(w) ~ p_lstm(w)^a p_ngram(w)^b, brought back to a sum of one.

The exponents (a, b) depend on how many tokens of the context the n-gram model knows. They are fitted on the validation
split by Newton's method: its loss is convex in them. (Against P = c p_lstm + (1 - c) p_ngram with the best constant c
this saves another 0.007 to 0.010 nats per character on tinyshakespeare, and the LSTM's logits need no softmax.)

In: logits (N, V) of the LSTM, an `NGram` and the nodes of the contexts. Out: logits (N, V) of both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmkit.runtime.session import log_softmax
from llmkit.store.files import Files
from llmkit.tasks.language import ngram
from llmkit.tasks.language.batches import Window
from llmkit.tasks.language.ngram import NGram

FILE = "ngram.safetensors"  # of a model folder: the arrays of the n-gram model and the exponents
EXPONENTS = "exponents"
FIT_NUMBERS = 1 << 25  # numbers of logits that the exponents are fitted on, at most
CHUNK = 1 << 21  # numbers looked at together
LARGEST = 1e3  # exponent that a file may hold
PRIOR = 0.5  # both exponents, before anything is known
POOLED = 100.0  # tokens' worth of trust in the exponents of all contexts together, for one length of context
TURNS = 20  # of Newton's method, at most
Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(logits of the LSTM (n, V), logits of the n-gram model (n, V), known lengths (n,), targets (n,))."""


@dataclass(frozen=True)
class Mixture:
    """An n-gram model and the exponents (order, 2) of the LSTM and of itself, by the known length of the context."""

    model: NGram
    exponents: np.ndarray

    def logits(self, lstm: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Logits (N, V) of the mixture from the LSTM's (N, V) and the nodes (order - 1, N) of the contexts."""
        a, b = self.exponents[self.model.matched(nodes)].T[:, :, None]
        return a * lstm + b * np.log(self.model.distribution(nodes))

    def next_logits(self, lstm: np.ndarray, contexts: list[list[int]]) -> np.ndarray:
        """The same for a few contexts, each as the list of nodes that `NGram.follow` gives."""
        out = np.empty_like(lstm)
        for row, nodes in enumerate(contexts):
            length, other = self.model.look_up(nodes)
            a, b = self._pairs[length]
            np.multiply(lstm[row], a, out=out[row])
            out[row] += b * other
        return out

    @cached_property
    def _pairs(self) -> list[list[float]]:
        return self.exponents.tolist()


class Reader:
    """Follows the contexts of parallel streams from window to window."""

    def __init__(self, model: NGram, streams: int):
        self.model = model
        self.before = np.full((model.contexts, streams), -1, np.int64)  # the tokens before the window

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """Nodes (order - 1, T, B) after each of a window's tokens (T, B)."""
        tokens = np.concatenate([self.before, tokens])
        nodes = self.model.match(tokens)[:, len(self.before) :]
        self.before = tokens[len(tokens) - len(self.before) :]
        return nodes


def fit(order: int, samples: list[Sample]) -> np.ndarray:
    """The exponents (order, 2) of least loss: first for all samples together, then for each length, drawn to those."""
    pooled = _newton(samples, None, np.full(2, PRIOR), 1.0)
    return np.stack([_newton(samples, length, pooled, POOLED) for length in range(order)]).astype(np.float32)


def _newton(samples: list[Sample], length: int | None, prior: np.ndarray, trust: float) -> np.ndarray:
    """The exponents (2,) for contexts of one known length (None: all), drawn to `prior`.

    The loss's gradient is the mean of both logits minus those of the target, its curvature their covariance.
    """
    found = prior
    for _ in range(TURNS):
        gradient, curvature = trust * (found - prior), trust * np.eye(2)
        for lstm, other, known, targets in samples:
            rows = np.arange(len(targets)) if length is None else np.flatnonzero(known == length)
            size = max(1, CHUNK // lstm.shape[1])
            for part in (rows[start : start + size] for start in range(0, len(rows), size)):
                logits = np.stack([lstm[part], other[part]])  # (2, n, V)
                q = np.exp(log_softmax(np.tensordot(found.astype(np.float32), logits, 1)))
                weighted = q * logits
                mean = weighted.sum(axis=2, dtype=np.float64)  # (2, n)
                gradient += (mean - logits[:, np.arange(len(part)), targets[part]]).sum(axis=1)
                second = weighted.reshape(2, -1) @ logits.reshape(2, -1).T
                curvature = curvature + second - mean @ mean.T
        step = np.linalg.solve(curvature, gradient)
        step /= max(1.0, float(np.linalg.norm(step)))  # far from the end, a full step may overshoot
        found = found - step
        if np.abs(step).max() < 1e-4:
            break
    return found


def fit_windows(model: NGram, windows: Iterable[tuple[Window, np.ndarray]], numbers: int) -> Mixture:
    """The mixture of least loss on the windows of a scoring pass, each with the LSTM's logits (T, B, V) on it.

    `numbers`: of logits in all windows together; where they are too many, only each second, third, … position is used.
    """
    stride = -(-numbers // FIT_NUMBERS)
    samples, reader = [], None
    for window, logits in windows:
        reader = reader or Reader(model, window.inputs.shape[1])
        nodes = reader.read(window.inputs)
        places = tuple(index[::stride] for index in np.nonzero(window.counted))
        nodes = nodes[:, places[0], places[1]]
        other = np.log(model.distribution(nodes))
        samples.append((logits[places], other, model.matched(nodes), window.targets[places]))
    return Mixture(model, fit(model.order, samples))


def loss(mixture: Mixture, windows: Iterable[tuple[Window, np.ndarray]]) -> float:
    """Nats per counted target of the mixture over windows as `fit_windows` takes them."""
    total, count, reader = 0.0, 0, None
    for window, logits in windows:
        reader = reader or Reader(mixture.model, window.inputs.shape[1])
        nodes = reader.read(window.inputs)[:, window.counted]
        targets = window.targets[window.counted]
        mixed = log_softmax(mixture.logits(logits[window.counted], nodes))
        total -= float(mixed[np.arange(len(targets)), targets].sum(dtype=np.float64))
        count += len(targets)
    return total / count


def to_bytes(mixture: Mixture) -> bytes:
    """N-gram model and exponents as a safetensors file."""
    return ngram.to_bytes(mixture.model.arrays | {EXPONENTS: mixture.exponents})


def load(folder: Files) -> Mixture | None:
    """The mixture of a model folder, None where its LSTM stands alone."""
    if FILE not in folder:
        return None
    arrays = folder.tensors(FILE)
    try:
        exponents = arrays.pop(EXPONENTS)
        ngram.check(arrays)
        order = 1 + sum(name.startswith("tokens.") for name in arrays)
        if exponents.shape != (order, 2) or exponents.dtype != np.float32 or not (np.abs(exponents) < LARGEST).all():
            raise ValueError("its exponents are not two for each order")
    except (KeyError, ValueError) as error:
        raise folder.damaged(FILE, f"no n-gram model ({error})") from error
    return Mixture(NGram(arrays), exponents)
