"""A generator in use: seeds and labels in, pictures out. Never imports torch."""

from collections.abc import Callable, Sequence

import numpy as np

from llmkit.data.picture_sizes import SIZES
from llmkit.errors import ConfigError
from llmkit.predicting import labels
from llmkit.runtime.session import open_session
from llmkit.store.model_folder import GRAPH, ModelFolder

MOST_LATENTS = 4096  # numbers, as the config allows
BATCH = 100  # pictures made at once: more are no faster


def load(folder: ModelFolder, threads: int | None = None) -> "Generator":
    """The model of a folder."""
    return Generator(folder, threads)


class Generator:
    """A loaded model folder. Pictures are (N, H, H, C) uint8; what a seed gives is the same whatever else is made."""

    def __init__(self, folder: ModelFolder, threads: int | None = None):
        self.folder = folder
        about = labels.read(folder)
        self.labels = about.labels
        self.shares = np.array(about.shares)
        if about.shares is None or len(about.shares) != max(1, len(self.labels)):
            raise folder.damaged(labels.LABELS, "it has not a share for each label")
        self._threads = threads
        self._session = open_session(folder, threads)
        shape = self._session.inputs.get("latents", [])
        if len(shape) != 2 or type(shape[1]) is not int or not 0 < shape[1] <= MOST_LATENTS:
            raise folder.damaged(GRAPH, f"it takes latents {shape}")
        self.latent_size: int = shape[1]

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """A copy in another process opens the folder there."""
        return load, (self.folder, self._threads)

    def __repr__(self) -> str:
        return f"Generator({str(self.folder.path)!r}, labels {', '.join(self.labels) or 'none'})"

    def generate(self, count: int = 1, seed: int = 1, label: str | Sequence[str] | None = None) -> np.ndarray:
        """`count` pictures of a seed. Several labels take turns, as all do where none is named. Raises ConfigError."""
        return self.pictures(latents(seed, count, self.latent_size), self.numbers(label, count))

    def between(self, seed: int, other_seed: int, count: int, label: str | None = None) -> np.ndarray:
        """`count` pictures on the way from the first one of a seed to that of another, both included."""
        first, last = (latents(number, 1, self.latent_size)[0] for number in (seed, other_seed))
        return self.pictures(interpolated(first, last, count), self.numbers(label or self.labels[:1], count))

    def numbers(self, label: str | Sequence[str] | None, count: int) -> np.ndarray:
        """The label numbers (count,) of pictures with these labels in turn. Raises ConfigError for an unknown one."""
        wanted = [label] if isinstance(label, str) else list(label or self.labels)
        for name in wanted:
            if name not in self.labels:
                known = f"it knows: {', '.join(self.labels[:20])}" if self.labels else "it knows no labels"
                raise ConfigError(f"generate.label: the model has not learnt the label '{name}'; {known}")
        turn = [self.labels.index(name) for name in wanted] or [0]
        return np.resize(np.array(turn, np.int64), count)

    def drawn(self, count: int, seed: int) -> np.ndarray:
        """`count` pictures of random labels, each as frequent as in the training pictures: for figures."""
        return self.pictures(*drawn(count, seed, self.latent_size, self.shares))

    def pictures(
        self, given: np.ndarray, numbers: np.ndarray, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> np.ndarray:
        """The pictures of latent numbers (N, latent_size) and label numbers (N,)."""
        parts = []
        for start in range(0, len(given), BATCH):
            feeds = {"latents": given[start : start + BATCH]}
            if self.labels:
                feeds["labels"] = numbers[start : start + BATCH]
            [made] = self._session.run(["pictures"], feeds)
            self._check(made, len(feeds["latents"]))
            parts.append(made)
            progress(start + len(parts[-1]), len(given))
        return np.concatenate(parts)

    def _check(self, made: np.ndarray, count: int) -> None:
        """Raise InputError where the graph has not made `count` pictures."""
        square = made.ndim == 4 and made.shape[1] == made.shape[2] in SIZES and made.shape[3] in (1, 3)
        if not square or len(made) != count or made.dtype != np.uint8:
            raise self.folder.damaged(GRAPH, f"it gives {made.shape} of {made.dtype} for {count} pictures")


def latents(seed: int, count: int, size: int) -> np.ndarray:
    """Latent numbers (count, size) float32 of a seed; those of the n-th picture depend on the seed and n alone."""
    return np.stack([np.random.default_rng([seed, n]).standard_normal(size, np.float32) for n in range(count)])


def drawn(count: int, seed: int, size: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(latent numbers (count, size) float32, label numbers (count,)), each label in its share."""
    generator = np.random.default_rng(seed)
    numbers = generator.choice(len(shares), count, p=shares / shares.sum())
    return generator.standard_normal((count, size), np.float32), numbers


def interpolated(first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """(count, size) latent numbers from one to another on a sphere, where random ones lie (Shoemake 1985, slerp)."""
    cosine = float(first @ last / (np.linalg.norm(first) * np.linalg.norm(last)))
    angle = np.arccos(np.clip(cosine, -1, 1))
    at = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    if np.sin(angle) < 1e-6:
        return (1 - at) * first + at * last
    return ((np.sin((1 - at) * angle) * first + np.sin(at * angle) * last) / np.sin(angle)).astype(np.float32)
