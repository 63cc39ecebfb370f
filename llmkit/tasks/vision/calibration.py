"""Training pictures on which the ranges of the network's activations are measured."""

import numpy as np
import onnx

from llmkit.store.files import Files
from llmkit.tasks.vision import prepare

CALIBRATED_ON, SEED = 500, 0  # pictures, and how they are drawn


def feeds(graph: onnx.ModelProto, weights: dict[str, np.ndarray], prepared: Files) -> dict[str, np.ndarray]:
    """Some pictures of the training split."""
    pictures, _, _ = prepare.pictures_of(prepared, "train")
    which = np.random.default_rng(SEED).permutation(len(pictures))[:CALIBRATED_ON]
    return {"pictures": np.ascontiguousarray(pictures[np.sort(which)])}
