"""Curves against scikit-learn's definitions, by hand."""

import numpy as np
import pytest

from llmkit.report import curves

SCORES = np.array([0.9, 0.8, 0.8, 0.3, 0.1])
POSITIVE = np.array([True, True, False, True, False])


def test_roc_takes_equal_scores_together() -> None:
    false, true = curves.roc(SCORES, POSITIVE)
    assert false.tolist() == [0, 0, 0.5, 0.5, 1] and true == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])


def test_precision_and_recall_begin_at_the_strictest_threshold() -> None:
    recall, precision = curves.precision_recall(SCORES, POSITIVE)
    assert recall == pytest.approx([1 / 3, 2 / 3, 1, 1]) and precision == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])


def test_reliability_leaves_out_empty_bins() -> None:
    means, right, counts = curves.reliability(np.array([0.55, 0.59, 0.95]), np.array([True, False, True]))
    assert means == pytest.approx([0.57, 0.95]) and right.tolist() == [0.5, 1.0] and counts.tolist() == [2, 1]
