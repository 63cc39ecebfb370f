"""What is lost without the parts that are called important, on a model that is a sum."""

import numpy as np
import pytest

from llmkit.explaining import judging
from llmkit.explaining.explanation import Puzzle, explain

WEIGHTS = np.array([0.5, 0.0, 0.1, 0.0])


def answers(masks: np.ndarray) -> np.ndarray:
    return masks @ WEIGHTS[:, None]


def test_the_first_part_is_lost_and_random_ones_cost_their_mean() -> None:
    puzzle: Puzzle[np.ndarray] = Puzzle("words", [{"text": name} for name in "abcd"], lambda masks: masks, 16)
    found = explain(puzzle, answers)
    area, of_random = judging.deletion(puzzle, found, 0, answers)
    assert area == pytest.approx((0.35 + 0.05) / 4) and area < of_random
    top, random = judging.losses(puzzle, found, 0, answers, signed=True)
    assert top == pytest.approx(0.5) and 0 <= random < 0.5
    figures = judging.figures([(top, random), (0.1, 0.1)], [found, found], [0, 0])
    assert figures["loss_of_top_tenth"] == pytest.approx(0.3) and figures["gap"] == pytest.approx(0.0)
    assert figures["times"] == pytest.approx(0.6 / (random + 0.1))
