"""Settings of the compression methods: the named variants under `compress:`."""

from typing import Literal

from llmkit.config import Section


class Quantize(Section, tag_field="method", tag="quantize"):
    """Weights of 8 bits, activations quantized as they come (dynamic)."""

    bits: Literal[8] = 8
    """Bits per weight."""


Variant = Quantize  # further methods join here: Quantize | Prune | ...
