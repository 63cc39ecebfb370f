"""The method of a variant, by its settings' class: graph and weights in, graph and weights out."""

from typing import TYPE_CHECKING, Any

from llmkit.compression.settings import Quantize, Variant

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto


def apply(
    variant: Variant, graph: "ModelProto", weights: "dict[str, np.ndarray]"
) -> "tuple[ModelProto, dict[str, np.ndarray], dict[str, Any]]":
    """(graph, weights, record of what was done). Raises InputError when the method does not fit the model."""
    assert isinstance(variant, Quantize)
    from llmkit.compression.quantize import quantize

    graph, weights = quantize(graph, weights)
    return graph, weights, {"method": "quantize", "bits": variant.bits}
