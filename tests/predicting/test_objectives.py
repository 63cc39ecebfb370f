"""The objective `Labels` against hand-computed values and torch's own functions: loss, validation, what is fitted."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from llmkit.predicting import metrics
from llmkit.predicting.objectives import Labels
from llmkit.tasks.table.settings import Train

NUMBERS = np.array([0, 1, 0, 1, 0, 0, 1, 0, 0, 0])
TRAIN = np.arange(10)


def objective(settings=None, numbers=NUMBERS, names=("no", "yes"), train=TRAIN):
    return Labels(numbers, list(names), train, settings or Train(), torch.device("cpu"))


def test_the_loss_by_hand():
    """Probabilities 3/4 and 1/4 for the labels 0 and 1; then two members, the second of which knows nothing."""
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    batch = np.array([0, 1])
    expected = -(math.log(3 / 4) + math.log(1 / 4)) / 2
    assert objective().loss(logits, batch, batch, 1, 0.0).item() == pytest.approx(expected)
    members = torch.stack([logits, torch.zeros(2, 2)], dim=1)
    assert objective().loss(members, batch, batch, 1, 0.0).item() == pytest.approx((expected + math.log(2)) / 2)


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_torch_s_cross_entropy(class_weights, smoothing):
    made = objective(Train(class_weights=class_weights, label_smoothing=smoothing))
    weights = torch.tensor([10 / (2 * 7), 10 / (2 * 3)]) if class_weights == "balanced" else None
    batch, logits = np.array([9, 1, 4, 6, 2]), torch.randn(5, 2)
    labels = torch.tensor([0, 1, 0, 1, 0])
    expected = F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    torch.testing.assert_close(made.loss(logits, batch, batch, 1, 0.0), expected)


def test_balanced_weights_make_rare_labels_count_as_much():
    """By the training examples alone: the labels of the others are not to be known."""
    labels = np.array([0] * 36 + [1] * 9 + [1] * 15)
    made = objective(Train(class_weights="balanced"), labels, train=np.arange(45))
    assert made.class_weights.tolist() == pytest.approx([45 / (2 * 36), 45 / (2 * 9)])
    unseen = objective(Train(class_weights="balanced"), labels, ("no", "yes", "never"), np.arange(45))
    assert unseen.class_weights.tolist() == pytest.approx([45 / (3 * 36), 45 / (3 * 9), 45 / 3])
    assert objective(Train(), labels).class_weights is None


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize("members", [None, 3])
def test_the_mean_over_equal_parts_is_the_loss_of_the_whole_batch(class_weights, members):
    """Though the parts have other shares of the labels: 0, 0, 0 and 1, 1, 0."""
    made = objective(Train(class_weights=class_weights, label_smoothing=0.1))
    batch = np.array([0, 2, 4, 1, 3, 5])
    outputs = torch.randn(6, 2) if members is None else torch.randn(6, members, 2)
    whole = made.loss(outputs, batch, batch, 1, 0.0)
    parts = [made.loss(outputs[part], batch[part], batch, 2, 0.0) for part in (slice(0, 3), slice(3, 6))]
    assert not torch.isclose(*parts)
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_the_loss_with_a_teacher_is_that_of_the_data_and_of_its_answers():
    """By hand, for one network and for two members that share the examples' answers."""
    made = objective()
    answers = torch.rand(10, 2).softmax(dim=1)
    made.teach(answers, 2.0)
    batch = np.array([4, 7, 3])
    for logits in (torch.randn(3, 2), torch.randn(3, 2, 2)):
        expected = []
        for example, rows in zip(batch, logits.view(3, -1, 2), strict=True):
            for row in rows:
                data = -torch.log_softmax(row, 0)[NUMBERS[example]]
                soft, student = answers[example], torch.log_softmax(row / 2.0, 0)
                expected.append(0.7 * data + 0.3 * 4.0 * (soft * (soft.log() - student)).sum())
        torch.testing.assert_close(made.loss(logits, batch, batch, 1, 0.3), torch.stack(expected).mean())


def test_the_answers_are_the_mean_of_the_teachers_probabilities():
    logits = [torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([[0.0, 0.0]])]
    found = objective().together(logits, 2.0)  # 3/4 and 1/2 at that temperature
    torch.testing.assert_close(found, torch.tensor([[0.625, 0.375]]))


def test_a_validation_is_of_calibrated_probabilities():
    outputs = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    outputs[3] = [5.0, -5.0]  # sure and wrong
    examples = np.array([8, 3, 1, 0])
    chosen, labels = outputs[examples], NUMBERS[examples]
    found = objective().validate(chosen, examples)
    temperature = metrics.fit_temperature(chosen, labels)
    expected = F.cross_entropy(torch.from_numpy(chosen / temperature), torch.from_numpy(labels))
    assert found == {
        "val_loss": pytest.approx(expected.item(), rel=1e-5),
        "val_accuracy": (chosen.argmax(axis=1) == labels).mean(),
    }
    assert temperature > 1.1  # not what the outputs themselves say


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_have_no_loss(bad):
    found = objective().validate(np.array([[bad, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    assert math.isnan(found["val_loss"])


def test_what_is_fitted_at_the_end_is_in_labels_json_and_in_the_metrics():
    outputs = np.array([[4.0, 0.0], [3.0, 0.0], [0.0, 3.5], [2.0, 0.0]])
    examples = np.array([0, 2, 1, 3])  # the last one is wrong
    made = objective()
    found = made.finish(outputs, examples)
    temperature = found.metrics["temperature"]
    assert temperature == metrics.fit_temperature(outputs, NUMBERS[examples])
    assert found.metrics["val_accuracy"] == 0.75
    assert found.metrics["val_loss"] == made.validate(outputs, examples)["val_loss"]
    assert found.files.keys() == {"labels.json"} and found.warnings == []
    assert json.loads(found.files["labels.json"].data) == {"labels": ["no", "yes"], "temperature": temperature}
