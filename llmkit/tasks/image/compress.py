"""What compression asks of this task: latent numbers and labels on which the ranges of activations are found."""

from typing import Any

import numpy as np
import onnx

from llmkit.tasks.image import use

CALIBRATED_ON, SEED = 1000, 2000  # pictures, and the seed of their latent numbers: one that no figure is measured with


def as_trained(settings: Any, result: dict[str, Any]) -> Any:
    """The settings: none of them is left open."""
    return settings


def calibration(graph: onnx.ModelProto, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs of the graph, all labels in turn."""
    sizes = {node.name: node.type.tensor_type.shape.dim for node in graph.graph.input}
    feeds = {"latents": use.latents(SEED, CALIBRATED_ON, sizes["latents"][1].dim_value)}
    if "labels" in sizes:
        feeds["labels"] = np.resize(np.arange(len(weights["embedding"])), CALIBRATED_ON)
    return feeds
