"""How much of its training text a model knows by heart: passages that it continues word for word.

In: a loaded model, a stream of tokens. Out: the share of passages that greedy writing continues exactly as the text
goes on, for so many tokens and more. (Carlini et al., "Quantifying Memorization", arXiv 2202.07646, section 3: after 50
tokens of prompt. Held-out text is continued too where it is easy to guess, or a copy: that share is the floor.)

Greedy writing gives the very tokens of the text as long as each of them is the likeliest after those before it, so one
reading of the passage tells.
"""

import numpy as np

from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.tasks.language.use import LanguageModel

PROMPT = 50  # tokens
LENGTHS = (5, 10, 25, 50, 100)  # tokens of continuation
KEY_LENGTH = 50  # of the figures that requirements are likely to name
NUMBERS = 1 << 24  # of logits at once


def figures(train: dict[int, float], held_out: dict[int, float]) -> Json:
    """What `evaluate` reports of shares by length: `memorised` by length, and those of 50 tokens by themselves."""
    return {
        "memorised_train": train[KEY_LENGTH],
        "memorised_held_out": held_out[KEY_LENGTH],
        "memorised": {str(length): {"train": train[length], "held_out": held_out[length]} for length in LENGTHS},
    }


def shares(model: LanguageModel, stream: np.ndarray, count: int, seed: int) -> dict[int, float]:
    """The share of `count` passages of a stream (N,) that are continued word for word, by length in tokens.

    Raises InputError for a stream that is too short.
    """
    size = PROMPT + LENGTHS[-1]
    places = len(stream) - size + 1
    if places < 1:
        raise InputError(
            f"evaluate.memorised needs {size} tokens in the training split and in the one that is evaluated; one has "
            f"{len(stream)}. Leave it out, or hold out more (prepare.split)"
        )
    starts = np.random.default_rng(seed).choice(places, min(count, places), replace=False)
    batch = max(1, min(256, NUMBERS // (size * model.encoder.vocab_size)))
    lengths = [
        continued(model, stream[starts[first : first + batch, None] + np.arange(size)])
        for first in range(0, len(starts), batch)
    ]
    found = np.concatenate(lengths)
    return {length: float(np.mean(found >= length)) for length in LENGTHS}


def continued(model: LanguageModel, passages: np.ndarray) -> np.ndarray:
    """How many tokens after the first `PROMPT` of each passage (B, T) greedy writing gets right from there on, (B,)."""
    tokens = passages.astype(np.int64).T  # (T, B)
    best = model.likeliest(np.concatenate([np.full((1, tokens.shape[1]), model.encoder.boundary_id), tokens[:-1]]))
    right = (best == tokens)[PROMPT:]
    return np.where(right.all(axis=0), len(right), right.argmin(axis=0))
