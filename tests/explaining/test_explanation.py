"""Contributions add up to the difference from the baseline, and the gap says where they do not."""

import numpy as np
import pytest

from llmkit.explaining.explanation import Puzzle, explain

PARTS = [{"text": "a"}, {"text": "b"}]


def test_parts_of_a_product_share_it() -> None:
    puzzle: Puzzle[np.ndarray] = Puzzle("words", PARTS, lambda masks: 1.0 + masks, 8)  # 1 or 2 for each part
    found = explain(puzzle, lambda numbers: numbers.prod(axis=1, keepdims=True))
    told = found.to_json(0, "yes")
    assert told["value"] == 4 and told["baseline"] == 1 and told["of"] == "yes"
    assert told["parts"] == [{"text": "a", "contribution": 1.5}, {"text": "b", "contribution": 1.5}]
    assert told["gap"] == 0


def test_a_model_that_says_another_thing_alone_has_a_gap() -> None:
    def answers(masks: np.ndarray) -> np.ndarray:
        return masks.sum(axis=1, keepdims=True) + 0.25 * (len(masks) == 1)  # of a batch other than alone

    found = explain(Puzzle("words", PARTS, lambda masks: masks, 8), lambda masks: answers(masks) * 1.0)
    assert found.gap.tolist() == pytest.approx([0.0])  # value and baseline are both 0.25 higher
    assert found.value.tolist() == [2.25]
