"""Figures against values computed by hand, and against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.predicting import metrics

PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
LABELS = np.array([0, 0, 1, 1])


def test_figures_of_four_examples_by_hand():
    found = metrics.of_probabilities(PROBABILITIES, LABELS, ["no", "yes"])
    assert found["accuracy"] == 0.5
    assert found["majority_accuracy"] == 0.5  # two of each
    assert found["macro_f1"] == 0.5  # each label: one right, one missed, one false
    assert found["roc_auc"] == 0.75  # of the pairs 0.8 > 0.1, 0.8 > 0.6, 0.3 > 0.1 but 0.3 < 0.6
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.3)) / 4)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.7) / 4)  # each in a bin of its own
    assert found["confusion"] == {"no": {"no": 1, "yes": 1}, "yes": {"no": 1, "yes": 1}}
    assert found["by_label"]["yes"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert found["examples"] == 4


def test_figures_of_each_label_by_hand():
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.4, 0.6, 0, 0], [0.2, 0.8, 0, 0], [0, 1, 0, 0]])
    found = metrics.of_probabilities(probabilities, np.array([0, 0, 1, 2]), ["a", "b", "c", "d"])
    assert found["by_label"] == {
        "a": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2},
        "b": {"precision": 1 / 3, "recall": 1.0, "f1": 0.5, "support": 1},
        "c": {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1},
        "d": {"precision": None, "recall": None, "f1": None, "support": 0},
    }
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 3)


def test_roc_auc_of_three_labels_is_the_mean_of_each_against_the_rest():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    # a: 0.6 and 0.3 against 0.5 and 0.1: 3 of 4 pairs; b: 0.3 against 0.3, 0.5, 0.2: half of one, and one; c: all
    labels = np.array([0, 0, 1, 2])
    areas = [3 / 4, 1.5 / 3, 1.0]
    assert metrics.mean_roc_auc(probabilities, labels) == pytest.approx(np.mean(areas))
    assert metrics.mean_roc_auc(probabilities[:3], labels[:3]) == pytest.approx(np.mean([1 / 2, 1 / 4]))  # no c


def test_there_is_no_roc_auc_of_a_label_alone():
    assert metrics.of_probabilities(np.eye(3), np.zeros(3, np.int64), ["a", "b", "c"])["roc_auc"] is None
    assert metrics.roc_auc(np.array([0.1, 0.2]), np.array([True, True])) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_is_the_share_of_pairs_in_order(pairs):
    scores, positive = np.array([s for s, _ in pairs]) / 4, np.array([p for _, p in pairs])
    wins = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    found = metrics.roc_auc(scores, positive)
    assert found == (pytest.approx(np.mean(wins)) if wins else None)


def test_calibration_error_of_a_bin_is_the_gap_between_probability_and_accuracy():
    sure = np.tile([0.8, 0.2], (10, 1))
    assert metrics.calibration_error(sure, np.array([0] * 8 + [1] * 2)) == pytest.approx(0)
    assert metrics.calibration_error(sure, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.3)


def test_the_temperature_undoes_logits_that_are_too_sure():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    labels = np.array([generator.choice(3, p=row) for row in metrics.softmax(logits)])
    assert metrics.fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.08)
    assert metrics.fit_temperature(logits / 3, labels) == pytest.approx(1 / 3, rel=0.08)


def test_a_few_right_answers_do_not_make_the_model_sure():
    temperature = metrics.fit_temperature(np.array([[2.0, -2.0]] * 3), np.zeros(3, int))
    assert 0.5 < temperature < 1  # without the prior it would be as small as it may
