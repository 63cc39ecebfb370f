"""Rounding in groups: by hand, against rounding each weight to its nearest, packed and unpacked."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.quantization import groups
from llmkit.quantization.groups import Inputs


def correlated(generator, columns, factors=3, mean=0.0):
    """Inputs that a few factors explain in most part."""
    mixed = generator.standard_normal((400, factors)) @ generator.standard_normal((factors, columns))
    x = mixed + 0.2 * generator.standard_normal((400, columns)) + mean
    return x, Inputs(x.mean(axis=0), np.cov(x.T, bias=True).reshape(columns, columns))


def test_what_rounding_one_weight_costs_the_next_one_makes_up_for():
    # 0.4 becomes 0. The inputs are correlated by 0.9, so the second weight does best at 0.4 + 0.9 * 0.4 = 0.76: at 1.
    hessian = np.array([[1.0, 0.9], [0.9, 1.0]])
    values = groups.compensated(np.array([[0.4, 0.4]]), np.ones((1, 2)), hessian, 4)
    assert values.tolist() == [[0, 1]]


def test_the_input_of_largest_variance_is_rounded_first():
    # 0.4 at the second input becomes 0, so the first weight does best at 0.4 + 2 * 0.9 * 0.4 = 1.12.
    hessian = np.array([[1.0, 1.8], [1.8, 4.0]])
    assert groups.compensated(np.array([[0.4, 0.4]]), np.ones((1, 2)), hessian, 4).tolist() == [[1, 0]]


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_on_a_grid_stay_what_they_are(bits):
    low, high = groups.limits(bits)
    values = np.random.default_rng(0).integers(low, high + 1, (5, 64))
    values[:, 0] = values[:, 32] = low  # the whole range is used in each group
    weight = values * np.repeat([[0.5, -0.25]], 32, axis=1)
    rounded = groups.plain(weight, 32, bits)
    assert np.array_equal(rounded.matrix(), weight)
    assert rounded.scales.tolist() == [[0.5, -0.25]] * 5
    _, inputs = correlated(np.random.default_rng(1), 64)
    assert np.array_equal(groups.for_inputs(weight, inputs, 32, bits).matrix(), weight)


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), columns=st.integers(1, 70), size=st.sampled_from([16, 32])
)
def test_no_row_is_worse_than_with_each_weight_to_its_nearest(seed, rows, columns, size):
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((rows, columns))
    _, inputs = correlated(generator, columns)
    hessian = inputs.covariance + groups.DAMPING * np.diag(inputs.covariance).mean() * np.eye(columns)
    rounded = groups.for_inputs(weight, inputs, size, 4)
    step = groups.spread(rounded.scales, size, columns).astype(np.float64)
    nearest = np.clip(np.rint(weight / step), -8, 7) * step
    ours, theirs = (
        ((weight - found) @ hessian * (weight - found)).sum(axis=1) for found in (rounded.matrix(), nearest)
    )
    assert (ours <= theirs * (1 + 1e-6)).all()


def test_outputs_of_correlated_inputs_are_far_better_than_plain_rounding_makes_them():
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((40, 128))
    x, inputs = correlated(generator, 128, mean=0.5)
    rounded, plain = groups.for_inputs(weight, inputs, 32, 4), groups.plain(weight, 32, 4)
    wanted = x @ weight.T
    errors = x @ rounded.matrix().T + groups.shift(weight, rounded, inputs) - wanted
    assert np.abs(errors.mean(axis=0)).max() < 1e-5  # `shift` keeps the means
    assert errors.var() < 0.3 * (x @ plain.matrix().T - wanted).var()


@pytest.mark.parametrize("weight", [np.zeros((3, 40)), np.full((3, 40), 1e-12), np.full((3, 40), -3e4)])
def test_extreme_weights_and_inputs_that_never_change(weight):
    nothing = Inputs(np.ones(40), np.zeros((40, 40)))
    rounded = groups.for_inputs(weight, nothing, 32, 4)
    assert np.abs(rounded.matrix() - weight).max() <= 1e-3 * np.abs(weight).max() + 1e-9
    assert rounded.scales.all() and np.isfinite(rounded.scales).all()


def test_the_first_number_lies_in_the_low_bits_and_zero_in_the_middle():
    assert groups.pack(np.array([[-8, 7, 0]]), 4).tolist() == [[0xF0, 0x88]]
    assert groups.pack(np.array([[-128, 127, 0]]), 8).tolist() == [[0, 255, 128]]


@given(st.data(), st.sampled_from([4, 8]), st.integers(1, 4), st.integers(1, 40))
def test_packed_numbers_come_back(data, bits, rows, columns):
    low, high = groups.limits(bits)
    flat = data.draw(st.lists(st.integers(low, high), min_size=rows * columns, max_size=rows * columns))
    values = np.array(flat).reshape(rows, columns)
    packed = groups.pack(values, bits)
    assert packed.shape == (rows, -(-columns * bits // 8))
    assert np.array_equal(groups.unpack(packed, columns, bits), values)
