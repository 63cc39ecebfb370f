"""Latent numbers and labels on which the ranges of the generator's activations are measured."""

import numpy as np
import onnx

from llmkit.store.files import Files
from llmkit.tasks.image import use

CALIBRATED_ON, SEED = 1000, 2000  # pictures, and the seed of their latent numbers: one that no metric is measured with


def feeds(graph: onnx.ModelProto, weights: dict[str, np.ndarray], prepared: Files) -> dict[str, np.ndarray]:
    """Inputs of the graph, all labels in turn; the prepared pictures are not needed."""
    sizes = {node.name: node.type.tensor_type.shape.dim for node in graph.graph.input}
    found = {"latents": use.latents(SEED, CALIBRATED_ON, sizes["latents"][1].dim_value)}
    if "labels" in sizes:
        found["labels"] = np.resize(np.arange(len(weights["embedding"])), CALIBRATED_ON)
    return found
