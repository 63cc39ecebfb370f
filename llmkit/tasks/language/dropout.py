"""How much dropout a training gets where the config does not say: as much as it will read its text again and again.

Read once, a text cannot be learned by heart, and dropout only slows the learning down; read twenty times it can, the
better the more weights there are. In: settings, the length of the training split, the network's weights and, of a
budget in minutes, how long a step takes. Out: every dropout. With a budget in steps or epochs nothing is timed.
"""

from itertools import pairwise
from typing import NamedTuple

from llmkit.tasks.language.settings import Model, Train

TRAINING_SHARE = 0.94  # of a budget in minutes that steps take; the rest goes into validations and checkpoints

# (passes over the training split, dropout, input_dropout, recurrent_dropout); straight lines between. Found on a text
# of a million characters with 448 units: against 0.2, 0.05, 0.1 the second row is 0.011 nats better after 6 passes, the
# third 0.017 after 20; 0.35, 0.1, 0.15 was 0.027 worse there. One seed each, with AdamW at a learning rate of 0.015;
# two seeds at 0.008 were 0.009 apart. With Muon 0.35, 0.05, 0.25 was 0.019 behind the third row after 14 of 20
# passes.
MEASURED = (
    (0.0, 0.0, 0.0, 0.0),
    (6.0, 0.15, 0.05, 0.05),
    (20.0, 0.25, 0.05, 0.15),
)
# In the matrices of the network of 448 units. With 240 units, a third of that, in 3 minutes (15 passes): 1.386 nats on
# validation text with dropouts by the square root of the share, 1.419 without it (one seed).
MEASURED_WEIGHTS = 889_000


class Dropouts(NamedTuple):
    """Shares of what is set to zero; see the section `model`."""

    dropout: float
    input_dropout: float
    recurrent_dropout: float


def chosen(model: Model, passes: float, weights: float) -> Dropouts:
    """The dropouts: as the settings say, else by the passes over the training split that the budget makes.

    A network of fewer weights than the measured one gets less, by the square root of their share, as Han et al. do it
    for pruned ones ("Learning both weights and connections for efficient neural networks", arXiv 1506.02626, section
    3.2).
    """
    share = min(1.0, (weights / MEASURED_WEIGHTS) ** 0.5)
    usual = [round(share * value, 4) for value in for_passes(passes)]
    given = (model.dropout, model.input_dropout, model.recurrent_dropout)
    return Dropouts(*(by_passes if own is None else own for own, by_passes in zip(given, usual, strict=True)))


def expected_passes(train: Train, tokens: int, seconds_of_step: float | None = None) -> float:
    """Passes over the training split of `tokens` that the budget makes; one in minutes by the seconds of a step."""
    kind, amount = train.budget
    if kind == "epochs":
        return amount
    if kind == "max_minutes":
        assert seconds_of_step is not None
        amount = TRAINING_SHARE * 60 * amount / seconds_of_step
    return amount * train.batch_size * train.sequence_length / tokens


def for_passes(passes: float) -> Dropouts:
    """For so many passes: between the measured ones, at most the last."""
    for (before, *low), (after, *high) in pairwise(MEASURED):
        if passes <= after:
            share = (passes - before) / (after - before)
            return Dropouts(*(round(x + share * (y - x), 4) for x, y in zip(low, high, strict=True)))
    return Dropouts(*MEASURED[-1][1:])
