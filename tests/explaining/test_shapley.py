"""Shapley values against sums that can be done by hand."""

import numpy as np
import pytest

from llmkit.explaining import shapley

WEIGHTS = np.array([1.0, -2.0, 0.5, 4.0])


def additive(masks: np.ndarray) -> np.ndarray:
    return 10 + masks @ WEIGHTS[:, None]


@pytest.mark.parametrize("budget", [2, 16])
def test_of_a_sum_each_player_contributes_its_weight(budget: int) -> None:
    found, none = shapley.contributions(additive, 4, budget)
    assert found[:, 0] == pytest.approx(WEIGHTS) and none.tolist() == [10.0]


def gloves(masks: np.ndarray) -> np.ndarray:
    """One left glove (player 0) and two right ones: a pair is worth 1."""
    return (masks[:, 0] & (masks[:, 1] | masks[:, 2]))[:, None].astype(float)


def test_the_glove_game_has_the_values_of_the_text_books() -> None:
    found, _ = shapley.contributions(gloves, 3, 8)
    assert found[:, 0] == pytest.approx([4 / 6, 1 / 6, 1 / 6])


def test_sampled_contributions_add_up_and_come_near_the_exact_ones() -> None:
    weights = np.random.default_rng(0).normal(size=(9, 2))

    def worth(masks: np.ndarray) -> np.ndarray:
        return np.tanh(masks @ weights)

    exact, none = shapley.contributions(worth, 9, 512)
    sampled, _ = shapley.contributions(worth, 9, 300)
    whole = worth(np.ones((1, 9), bool))[0]
    assert sampled.sum(axis=0) == pytest.approx(whole - none) and exact.sum(axis=0) == pytest.approx(whole - none)
    assert np.abs(sampled - exact).max() < 0.1 < np.abs(exact).max()


def test_nobody_and_one_alone() -> None:
    found, none = shapley.contributions(lambda masks: np.ones((len(masks), 3)), 0, 8)
    assert found.shape == (0, 3) and none.tolist() == [1, 1, 1]
    found, _ = shapley.contributions(lambda masks: 5.0 * masks, 1, 1)
    assert found.tolist() == [[5.0]]
