"""Exposure: how many bits of a planted secret a model gives away (Carlini et al., arXiv 1802.08232, section 4).

In: a loaded model, the record of the canaries that its training text had, the run's n-gram model. Out: figures, and
none of the secrets. The loss of a secret is that of its own tokens after the text that stands before all of them.

- By rank (the paper's section 4.2): a canary's loss among those of `REFERENCES` other secrets of the same form, which
  nobody planted: log2(N + 1) - log2(rank), at most `BOUND` bits. A secret that was never seen has 1.4 on average
  (log2 e): that is the floor, not 0.
- Extrapolated (section 4.3): a skew-normal distribution fitted to the losses of the references says how many of all
  secrets have less; at most log2 of their number. It tells strong memories apart, as far as the losses are such.

A model folder's LSTM, its mixture with an n-gram model, and the run's n-gram model each have figures of their own.
"""

import math
from collections.abc import Callable

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data.tokenizer import Encoder
from llmkit.plain import Json
from llmkit.tasks.language import canaries
from llmkit.tasks.language.canaries import Record
from llmkit.tasks.language.ngram import NGram
from llmkit.tasks.language.use import LanguageModel

REFERENCES = (1 << 13) - 1
BOUND = math.log2(REFERENCES + 1)
ALL = canaries.DIGITS * math.log2(10)  # bits of a secret
SEED = 1802_08233
MOST_SKEW = 0.99  # of a skew-normal distribution: its skewness ends at 0.9953
GRID = np.linspace(0, 12, 2001)  # deviations below a loss over which its share is summed
Losses = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Nats (N,) of token sequences (N, T), -1 where one is shorter, after the ids of a context (C,)."""


def exposures(model: LanguageModel, record: Record, ngram: NGram, warn: Warn) -> Json:
    """What `evaluate` reports: `exposure`, the mean of the canaries that were repeated as often and have the highest;
    `exposure_unplanted`, `exposure_bound`; in `canaries` all by the number of repeats."""
    secrets = [canary.secret for canary in record.canaries]
    references = canaries.numbers(REFERENCES, np.random.default_rng(SEED), frozenset(secrets))
    context, ends = tokens(model.encoder, record.text, secrets + references)
    if unknown := model.encoder.count_unknown(ends):
        warn(
            f"the vocabulary lacks {unknown:,} of the {np.count_nonzero(ends >= 0):,} tokens of secrets: exposure says "
            "little of this model; one of characters, bytes or bpe has them all"
        )
    measures: dict[str, Losses] = {"": model.losses_after}
    if model.mixture:
        measures["lstm_"] = lambda before, after: model.losses_after(before, after, alone=True)
    measures["ngram_"] = lambda before, after: ngram_losses(ngram, before, after)
    found: dict[str, np.ndarray] = {}
    for kind, measure in measures.items():
        losses = measure(context, ends)
        own, others = losses[: len(secrets)], losses[len(secrets) :]
        found[f"{kind}exposure"] = by_rank(own, others)
        if not kind:
            found |= {"extrapolated": extrapolated(own, others), "loss": own}
    groups = {
        repeats: np.array([canary.repeats == repeats for canary in record.canaries])
        for repeats in sorted({canary.repeats for canary in record.canaries})
    }
    copies = np.array([canary.copies for canary in record.canaries])
    rows = {
        str(repeats): {"secrets": int(which.sum()), "copies": float(copies[which].mean())}
        | {name: float(values[which].mean()) for name, values in found.items()}
        | {"highest": float(found["exposure"][which].max())}
        for repeats, which in groups.items()
    }
    planted = [row for repeats, row in rows.items() if repeats != "0"]
    worst = {name: max((row[name] for row in planted), default=0.0) for name in found if name.endswith("exposure")}
    unplanted = {"exposure_unplanted": rows["0"]["exposure"]} if "0" in rows else {}
    return worst | unplanted | {"exposure_bound": BOUND, "canaries": rows}


def tokens(encoder: Encoder, text: str, secrets: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The ids (C,) of a document that begins with the text, those (N, T) of the secrets after it, -1 at their ends."""
    context = np.concatenate([[encoder.boundary_id], encoder.encode(text)]).astype(np.int64)
    ids = [encoder.encode(" " + secret) for secret in secrets]  # cut before a space, as every vocabulary does
    ends = np.full((len(ids), max(map(len, ids))), -1, np.int64)
    for row, end in zip(ends, ids, strict=True):
        row[: len(end)] = end
    return context, ends


def ngram_losses(ngram: NGram, context: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """`Losses` of an n-gram model."""
    return np.array([-ngram.score(np.concatenate([context, end[end >= 0]]))[len(context) - 1 :].sum() for end in ends])


def by_rank(losses: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Bits (N,) of secrets with these losses (N,): log2(R + 1) - log2(rank) among the references (R,).

    Of references with the very same loss half are taken to have less.
    """
    ordered = np.sort(references)
    less, to = (np.searchsorted(ordered, losses, side) for side in ("left", "right"))
    return np.log2(len(ordered) + 1) - np.log2(1 + less + (to - less) / 2)


def extrapolated(losses: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Bits (N,) of secrets with these losses by a skew-normal distribution with the references' mean, deviation and
    skewness (Azzalini 1985; fitted by moments); by rank where they have no deviation."""
    mean, deviation = references.mean(), references.std()
    if deviation <= 1e-6 * max(1.0, abs(mean)):
        return by_rank(losses, references)
    skewness = float(np.clip((((references - mean) / deviation) ** 3).mean(), -MOST_SKEW, MOST_SKEW))
    part = abs(skewness) ** (2 / 3)
    delta = math.copysign(math.sqrt(math.pi / 2 * part / (part + ((4 - math.pi) / 2) ** (2 / 3))), skewness)
    alpha = delta / math.sqrt(1 - delta**2)
    scale = deviation / math.sqrt(1 - 2 * delta**2 / math.pi)
    z = (losses - mean) / scale + delta * math.sqrt(2 / math.pi)  # (N,): in units of the normal that is skewed
    return np.minimum(ALL, np.maximum(0.0, [-_log2_share(at, alpha) for at in z.tolist()]))


def _log2_share(z: float, alpha: float) -> float:
    """log2 of the share of a skew-normal distribution below z: of the integral of 2 phi(t) Phi(alpha t)."""
    t = z - GRID
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) * np.array([math.erfc(-alpha * x / math.sqrt(2)) for x in t])
    share = float(np.trapezoid(density, GRID))
    return math.log2(min(share, 1.0)) if share > 0 else -ALL
