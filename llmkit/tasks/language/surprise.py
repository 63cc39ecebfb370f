"""How surprising each token of a text is to a language model, in bits: -log2 of the probability that it had.

The colours of a text follow it, so that one sees where a model is lost. Never imports torch.
"""

import math
from collections.abc import Sequence

from llmkit.console import contributions, terminal
from llmkit.data import tokenizer as tokenizers
from llmkit.plain import Json
from llmkit.report import html

MOST_BARS = 12


def explanation(pieces: Sequence[str], nats: Sequence[float]) -> Json:
    """{kind, bits (of the whole text), bits_per_token, parts: [{text, bits}]} of tokens and their surprise."""
    bits = [value / math.log(2) for value in nats]
    parts = [{"text": piece, "bits": more} for piece, more in zip(pieces, bits, strict=True)]
    return {"kind": "tokens", "bits": sum(bits), "bits_per_token": sum(bits) / max(len(bits), 1), "parts": parts}


def texts_of(table: Sequence[bytes], ids: Sequence[int]) -> list[str]:
    """The text of each token; of a character in several tokens, the last one has it."""
    decoder = tokenizers.StreamDecoder(list(table))
    found = [decoder.push(token) for token in ids]
    if found:
        found[-1] += decoder.flush()
    return found


def show(found: Json) -> None:
    """The text in colours, on a terminal, and the most surprising tokens."""
    terminal.show(f"\n{found['bits']:,.1f} bits, {found['bits_per_token']:.2f} a token; the most surprising ones:")
    contributions.marked([(part["text"], -part["bits"]) for part in found["parts"]])
    contributions.bars([(repr(part["text"]), part["bits"]) for part in found["parts"]], MOST_BARS)


def marked(found: Json) -> str:
    """The text as HTML, the redder, the more surprising."""
    return html.marked((part["text"], -part["bits"]) for part in found["parts"])
