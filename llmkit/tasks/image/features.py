"""Features of pictures: what metrics compare in place of pixels. Runs through ONNX Runtime, without torch.

In: pictures (N, H, H, C) uint8. Out: features (N, 64) float32, each with mean 0 and deviation 1 over the training
pictures. The network is learnt by `prepare` (`feature_network.py`), lies in the prepared folder as `features.onnx`,
weights included, and goes along with every model, so that all are measured by the same one.
"""

import hashlib

import numpy as np

from llmkit.errors import InputError
from llmkit.runtime.session import Session
from llmkit.store.files import Files

FILE = "features.onnx"
BATCH = 500


class Features:
    """A loaded features.onnx; `hash` is the SHA-256 (hex) of its bytes."""

    def __init__(self, folder: Files, threads: int | None = None):
        """`folder`: a prepared folder or a model folder."""
        data = folder.read_bytes(FILE)
        self.hash = hashlib.sha256(data).hexdigest()
        self._session = Session(data, {}, threads, str(folder.path / FILE))
        self.shape = tuple(self._session.inputs.get("pictures", [])[1:])
        if len(self.shape) != 3:
            raise folder.damaged(FILE, "it takes no pictures")

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 64) of pictures (N, H, H, C). Raises InputError where they have another size or colour."""
        if pixels.shape[1:] != self.shape:
            raise InputError(
                f"these pictures are {_named(pixels.shape[1:])}, the model's are {_named(self.shape)}; set "
                "prepare.size, prepare.resize and prepare.colour to have them converted"
            )
        parts = [
            self._session.run(["features"], {"pictures": pixels[start : start + BATCH]})[0]
            for start in range(0, len(pixels), BATCH)
        ]
        return np.concatenate(parts)


def _named(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]} {'grey' if shape[2] == 1 else 'coloured'}"
