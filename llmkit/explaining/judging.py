"""Do explanations tell the truth? What a decision loses with the parts that are called the most important ones.

The most important tenth of an example's parts is taken away, and by turns as many parts drawn at random: where an
explanation is right the decision loses much more in the first case ("deletion": Petsiuk et al., RISE, arXiv 1806.07421,
section 4.2; Samek et al., arXiv 1509.06321).
"""

from collections.abc import Sequence

import numpy as np

from llmkit.explaining.explanation import Answers, AnyExamples, Explanation, Puzzle
from llmkit.plain import Json

SHARE = 0.1  # of the parts, at least one
DRAWS = 8  # of random parts, for each example
SEED = 0


def losses(
    puzzle: Puzzle[AnyExamples], explanation: Explanation, answer: int, answers: Answers[AnyExamples], signed: bool
) -> tuple[float, float]:
    """(what the answer loses without the most important parts, the same without random ones, in the mean).

    `signed`: a loss is a fall, and parts are important that raise the answer; else any change counts, as of numbers.
    """
    count = len(puzzle.parts)
    if not count:
        return 0.0, 0.0
    removed = max(1, round(SHARE * count))
    added = explanation.contributions[:, answer]
    generator = np.random.default_rng(SEED)
    masks = np.ones((1 + DRAWS, count), bool)
    masks[0, np.argsort(-(added if signed else np.abs(added)), kind="stable")[:removed]] = False
    for mask in masks[1:]:
        mask[generator.permutation(count)[:removed]] = False
    change = explanation.value[answer] - answers(puzzle.shown(masks))[:, answer]
    change = change if signed else np.abs(change)
    return float(change[0]), float(change[1:].mean())


def deletion(
    puzzle: Puzzle[AnyExamples], explanation: Explanation, answer: int, answers: Answers[AnyExamples]
) -> tuple[float, float]:
    """(area under the answer as parts go, the most important first; the same in random orders, in the mean).

    The less, the better: "deletion AUC" (Petsiuk et al., section 4.2), with the parts that are left from all to none.
    """
    count = len(puzzle.parts)
    generator = np.random.default_rng(SEED)
    first = np.argsort(-explanation.contributions[:, answer], kind="stable")
    orders = np.array([first, *(generator.permutation(count) for _ in range(DRAWS))])
    left = np.argsort(orders, axis=1)[:, None, :] >= np.arange(count + 1)[:, None]  # (1 + DRAWS, n + 1, n)
    values = answers(puzzle.shown(left.reshape(-1, count)))[:, answer].reshape(len(orders), count + 1)
    areas = (values[:, :-1] + values[:, 1:]).sum(axis=1) / (2 * count)
    return float(areas[0]), float(areas[1:].mean())


def figures(found: Sequence[tuple[float, float]], explanations: Sequence[Explanation], answers: Sequence[int]) -> Json:
    """Means over examples: what `losses` found, how many times as much, and the gap as a share of what is explained."""
    top, random = np.mean(np.array(found), axis=0).tolist()
    pairs = list(zip(explanations, answers, strict=True))
    gaps = [abs(float(one.gap[answer])) for one, answer in pairs]
    ways = [abs(float(one.value[answer] - one.baseline[answer])) for one, answer in pairs]
    return {
        "examples": len(found),
        "loss_of_top_tenth": top,
        "loss_of_random_tenth": random,
        "times": top / random if random > 0 else None,
        "gap": sum(gaps) / sum(ways) if sum(ways) > 0 else 0.0,
    }
