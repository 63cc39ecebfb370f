"""Settings of the compression methods: the named variants under `compress:`."""

import re
from typing import Any, Literal

from llmkit.config import Section


class Quantize(Section, tag_field="method", tag="quantize"):
    """Weights of 8 bits, activations quantized as they come (dynamic)."""

    bits: Literal[8] = 8
    """Bits per weight."""


RESERVED = ("model", "tuned")


def check_names(variants: dict[str, Any]) -> None:
    """Refuse names that are no plain folder names, or those of other models. Raises ValueError."""
    for name in variants:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"compress.{name}: a variant's name is a folder's: letters, digits, - and _")
        if name in RESERVED:
            raise ValueError(f"compress.{name}: the name is taken: {name} is what llmkit calls another model")


Variant = Quantize  # further methods join here: Quantize | Prune | ...
