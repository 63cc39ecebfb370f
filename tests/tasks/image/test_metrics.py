"""The metrics against eigenvalues of the product, sums by hand and what must hold of any sets."""

import numpy as np
import pytest

from llmkit.tasks.image import metrics


@pytest.fixture
def sets():
    generator = np.random.default_rng(0)
    return generator.normal(size=(60, 5)), generator.normal(0.5, 2.0, size=(60, 5)) @ generator.normal(size=(5, 5))


def test_frechet_distance_by_the_eigenvalues_of_the_product(sets):
    first, second = sets
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    gap = first.mean(axis=0) - second.mean(axis=0)
    root = np.sqrt(np.linalg.eigvals(one @ two).real).sum()  # the trace of its root
    expected = gap @ gap + np.trace(one + two) - 2 * root
    assert metrics.frechet_distance(first, second) == pytest.approx(expected)
    assert metrics.frechet_distance(second, first) == pytest.approx(expected)


def test_frechet_distance_of_one_feature_by_hand():
    first, second = np.array([[0.0], [2.0], [4.0]]), np.array([[10.0], [11.0], [12.0]])  # deviations 2 and 1
    assert metrics.frechet_distance(first, second) == pytest.approx((11 - 2) ** 2 + (2 - 1) ** 2)
    assert metrics.frechet_distance(first, first[::-1]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_more_features_than_pictures_is_a_number(sets):
    assert metrics.frechet_distance(sets[0][:3], sets[1][:3]) > 0


def test_kernel_distance_by_hand():
    first, second = np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])
    # kernels (x·y / 2 + 1)³ of pairs: within (1/2 + 1)³ and 1³; across 1, 2³, 1, 2³
    assert metrics.kernel_distance(first, second) == pytest.approx(1.5**3 + 1 - 2 * (1 + 8 + 1 + 8) / 4)


def test_kernel_distance_has_no_bias():
    generator = np.random.default_rng(0)
    found = [metrics.kernel_distance(*generator.normal(size=(2, 10, 3))) for _ in range(2000)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_precision_and_recall_by_hand():
    real = np.array([[0.0], [1.0], [10.0], [11.0]])  # with 1 neighbour each reaches 1 far
    made = np.array([[0.5], [0.6], [0.7], [5.0]])  # reach 0.1, 0.1, 0.1, 4.3
    assert metrics.precision_and_recall(real, made, 1) == (0.75, 0.25)  # 5.0 is out of reach; 1.0 alone is reached
    assert metrics.precision_and_recall(real, real, 1) == (1.0, 1.0)


def test_pictures_all_alike_have_precision_but_no_recall():
    real = np.random.default_rng(0).normal(size=(200, 4))
    precision, recall = metrics.precision_and_recall(real, np.repeat(real[:1], 200, axis=0))
    assert precision == 1 and recall <= 1 / 200
