"""Sensitivity at a specificity and the interval of AUROC, by hand and against what is known of them."""

import numpy as np
import pytest

from llmkit.predicting.metrics import roc_auc
from llmkit.tasks.vision.screening import auc_interval, figures, sensitivity_at


def test_sensitivity_at_a_specificity_by_hand():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.35, 0.5, 0.6, 0.15])
    positive = np.array([False, False, False, False, True, True, True, True])
    assert sensitivity_at(scores, positive, 0.75) == 0.75  # above 0.3
    assert sensitivity_at(scores, positive, 0.76) == 0.5  # above 0.4
    assert sensitivity_at(scores, positive, 0.5) == 0.75  # above 0.2
    assert sensitivity_at(np.ones(8), positive, 0.5) == 0.0  # a threshold that all pass tells nobody apart


def test_the_interval_holds_the_area_and_narrows_with_examples():
    generator = np.random.default_rng(0)

    def drawn(count):
        labels = np.arange(count) % 2
        score = 1 / (1 + np.exp(-(generator.normal(size=count) + 1.5 * labels)))
        return np.stack([1 - score, score], axis=1), labels

    small, large = drawn(100), drawn(2000)
    for probabilities, labels in (small, large):
        low, high = auc_interval(probabilities, labels)
        assert low < roc_auc(probabilities[:, 1], labels == 1) < high
    widths = [np.ptp(auc_interval(*part)) for part in (small, large)]
    # Hanley & McNeil (1982): the deviation at an area of 0.856 with 1,000 of each is 0.0083.
    assert widths[1] == pytest.approx(2 * 1.96 * 0.0083, rel=0.15) and widths[0] > 3 * widths[1]


def test_more_labels_and_labels_that_do_not_occur():
    three = np.full((6, 3), 1 / 3)
    assert "sensitivity_at" not in figures(three, np.array([0, 1, 2] * 2), 0.9)
    assert figures(three[:, :2], np.zeros(6, np.int64), 0.9) == {}
