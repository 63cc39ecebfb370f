"""Token streams -> windows: for training (parallel streams, read round and round) and for scoring (once, in order).

Time is the first axis: windows are (T + 1, B), inputs all but the last row, targets all but the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from llmkit.plain import Json

# Tokens read before a scored stream begins, so that it has its state; a character LSTM forgets within far fewer.
WARM_UP = 256


class TrainingStreams:
    """`batch_size` readers spaced evenly over one circular stream of tokens; each goes on where it stopped.

    The length of each window varies by a fifth around `length`, so that its borders fall elsewhere in every pass
    (Merity et al., arXiv 1708.02182, section 5). With probability `resets` a stream enters a window with a zero
    state in place of the carried one, so that the model learns to start cold too.
    """

    def __init__(
        self, tokens: np.ndarray, batch_size: int, length: int, boundary_id: int, seed: int, resets: float = 0.0
    ):
        self.tokens, self.length, self.boundary_id, self.resets = tokens, length, boundary_id, resets
        self.starts = np.arange(batch_size, dtype=np.int64) * (len(tokens) // batch_size)
        self.position = 0
        self.places = np.empty((0, batch_size), np.int64)  # (T + 1, B): where in `tokens` the last window's stand
        self.generator = np.random.default_rng(seed)

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """The next window (T + 1, B) int64 and which streams carry their state into it (B,) bool.

        The last row of a window is the first of the following one.
        """
        low, high = max(1, round(0.8 * self.length)), max(1, round(1.2 * self.length))
        length = int(self.generator.integers(low, high + 1))
        rows = self.position + np.arange(length + 1)[:, None]
        self.places = (self.starts + rows) % len(self.tokens)
        window = self.tokens[self.places].astype(np.int64)
        if self.position == 0:
            window[0] = self.boundary_id  # the state is zero here, as it is before a prompt
        self.position += length
        return window, self.generator.random(len(self.starts)) >= self.resets

    @property
    def epochs(self) -> float:
        """Passes over the tokens so far."""
        return self.position * len(self.starts) / len(self.tokens)

    def state(self) -> Json:
        return {"position": self.position, "generator": self.generator.bit_generator.state}

    def load_state(self, state: Json) -> None:
        self.position = state["position"]
        self.generator.bit_generator.state = state["generator"]


@dataclass(frozen=True)
class Window:
    """Part of a scoring pass: inputs and targets (T, B) int64; `counted` (T, B) says which targets count."""

    inputs: np.ndarray
    targets: np.ndarray
    counted: np.ndarray

    def columns(self, which: slice) -> "Window":
        """The same for some of the parallel parts."""
        return Window(self.inputs[:, which], self.targets[:, which], self.counted[:, which])


def scoring_windows(tokens: np.ndarray, streams: int, length: int, warm_up: int = WARM_UP) -> Iterator[Window]:
    """Every token but the first exactly once as a counted target, in `streams` parallel parts with carried state.

    Each part but the first starts `warm_up` uncounted tokens early, so that the figure is that of one stream
    carried through the whole text. Windows come in order, at most `length` long; the caller carries the state.
    """
    targets = len(tokens) - 1
    streams = max(1, min(streams, targets // (4 * warm_up + 1)))
    steps = -(-(targets + (streams - 1) * warm_up) // streams)  # read by each stream
    starts = np.arange(streams, dtype=np.int64) * (steps - warm_up)
    for start in range(0, steps, length):
        offset = np.arange(start, min(start + length, steps), dtype=np.int64)[:, None]
        place = starts + offset  # (T, B): where the input stands
        counted = (place < targets) & ((offset >= warm_up) | (starts == 0))
        place = np.minimum(place, targets - 1)
        yield Window(tokens[place].astype(np.int64), tokens[place + 1].astype(np.int64), counted)
