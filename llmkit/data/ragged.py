"""Lists of different lengths, one for each text, in one array: token ids, numbers of features, or their values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


@dataclass(frozen=True)
class Ragged:
    """The list of text i is numbers[starts[i]:starts[i + 1]]."""

    numbers: np.ndarray  # int32 or float32
    starts: np.ndarray  # (N + 1,) int64

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> np.ndarray:
        """Length of each list (N,)."""
        return np.diff(self.starts)

    def padded(self, texts: np.ndarray) -> np.ndarray:
        """The lists (B, longest), int64 or float32, of some texts, by number, filled up with 0."""
        counts = self.counts[texts]
        column = np.arange(max(1, int(counts.max(initial=0))))
        place = np.minimum(self.starts[texts][:, None] + column, max(len(self.numbers) - 1, 0))
        found = self.numbers[place] if len(self.numbers) else np.zeros(place.shape, self.numbers.dtype)
        wide = np.float32 if self.numbers.dtype.kind == "f" else np.int64
        return np.where(column < counts[:, None], found, 0).astype(wide)

    def take(self, texts: np.ndarray) -> "Ragged":
        """The lists of some texts, by number."""
        return from_lists([self.numbers[self.starts[k] : self.starts[k + 1]] for k in texts], self.numbers.dtype)


def from_lists(lists: list[np.ndarray], dtype: "DTypeLike" = np.int32) -> Ragged:
    """A Ragged of arrays of numbers."""
    starts = np.concatenate([[0], np.cumsum([len(part) for part in lists])]).astype(np.int64)
    return Ragged(np.concatenate([*lists, np.zeros(0, dtype)]).astype(dtype), starts)


def batches(first: np.ndarray, second: np.ndarray, most: int, most_numbers: int) -> Iterator[np.ndarray]:
    """Numbers of texts (B,), at most `most` of about one length at a time: `first` (N,) sorts, and padded to the
    longest of it or of `second` (N,) no batch has more than `most_numbers` numbers, unless it is of one text."""
    batch: list[int] = []
    longest = 0
    for text in np.argsort(first, kind="stable").tolist():
        longer = max(longest, int(first[text]), int(second[text]))
        if batch and (len(batch) == most or (len(batch) + 1) * longer > most_numbers):
            yield np.array(batch)
            batch, longer = [], max(int(first[text]), int(second[text]))
        batch.append(text)
        longest = longer
    if batch:
        yield np.array(batch)
