"""Batches of examples by number: in random order, pass after pass, with a place in it to go on from."""

import numpy as np

from llmkit.errors import ConfigError
from llmkit.training.distributed import Processes

POOL_BATCHES = 32  # sorted by length together: enough that batches have little padding, and still random


class Batches:
    """Batches of example numbers in random order, pass after pass; each pass shuffles anew, by seed and number.

    With `lengths` (N,) examples of about the same length come together.
    """

    def __init__(self, examples: np.ndarray, batch_size: int, seed: int, lengths: np.ndarray | None = None):
        self.examples, self.batch_size, self.seed, self.lengths = examples, batch_size, seed, lengths
        self.passed, self.position = 0, 0  # passes, batches of the present one
        self._order: list[np.ndarray] = []

    def next(self) -> np.ndarray:
        """Numbers of the next examples (B,); the last batch of a pass may be smaller."""
        if self._order and self.position == len(self._order):
            self.passed, self.position, self._order = self.passed + 1, 0, []
        self._order = self._order or self._shuffled()
        self.position += 1
        return self._order[self.position - 1]

    def check_parts(self, processes: Processes, unit: str) -> None:
        """Raise ConfigError where a batch does not fall into equal parts for all processes. `unit`: of the examples."""
        smallest = len(self.examples) % self.batch_size or self.batch_size
        if self.batch_size % processes.count or smallest % processes.count:
            raise ConfigError(
                f"{len(self.examples)} {unit} in batches of {self.batch_size} do not fall into equal parts "
                f"for {processes.count} processes; set another train.batch_size, or start one process"
            )

    def state(self) -> dict[str, int]:
        """Where the reading is."""
        return {"passed": self.passed, "position": self.position}

    def load_state(self, state: dict[str, int]) -> None:
        """Go on from what `state` returned."""
        self.passed, self.position = state["passed"], state["position"]
        self._order = self._shuffled() if self.position else []

    def _shuffled(self) -> list[np.ndarray]:
        generator = np.random.default_rng([self.seed, self.passed])
        order = generator.permutation(self.examples)
        if self.lengths is not None:
            pools = [
                order[s : s + POOL_BATCHES * self.batch_size]
                for s in range(0, len(order), POOL_BATCHES * self.batch_size)
            ]
            order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.lengths is not None:
            batches = [batches[number] for number in generator.permutation(len(batches))]
        return batches
