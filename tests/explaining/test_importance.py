"""Importance of columns by permutation, and words of most weight."""

import numpy as np

from llmkit.data.columns import Column, Rows
from llmkit.explaining import importance
from llmkit.explaining.explanation import Explanation


def test_the_column_that_decides_is_the_important_one() -> None:
    numbers = np.random.default_rng(0).normal(size=(200, 2))
    rows = Rows(numbers, np.zeros((200, 0), object))
    columns = [Column("other", "number"), Column("decides", "number")]
    found = importance.of_columns(rows, columns, lambda dealt: (dealt.numbers[:, 1] - numbers[:, 1]) ** 2)
    assert list(found) == ["decides", "other"]
    assert found["other"] == {"rise": 0.0, "low": 0.0, "high": 0.0}
    assert 0 < found["decides"]["low"] < 2 < found["decides"]["high"] < 3  # of a normal distribution: 2 variances


def test_words_count_for_the_label_that_they_raise() -> None:
    parts = [{"text": "Good,"}, {"text": "bad"}, {"text": "!"}]
    one = Explanation("words", parts, np.array([[-0.2, 0.2], [0.1, -0.1], [0.3, -0.3]]), np.ones(2), np.ones(2))
    found = importance.of_words([one, one], ["negative", "positive"])
    assert found["positive"] == [{"word": "good", "contribution": 0.2, "texts": 2}]
    assert [word["word"] for word in found["negative"]] == ["bad"]
