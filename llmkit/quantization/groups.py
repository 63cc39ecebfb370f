"""Matrices of 4 or 8 bits: the weights of a row in groups along the input axis, each group with a scale of its own.

A weight matrix (N, K) and what is known of its inputs -> whole numbers and scales, rounded so that the *outputs* stay,
not the weights: GPTQ (Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained
transformers", arXiv 2210.17323). Then the numbers packed as ONNX Runtime's `MatMulNBits` reads them, but for what
fills up a row's last group. Numpy only; left out: where inputs come from, and graphs.
"""

from dataclasses import dataclass

import numpy as np

DAMPING = 0.01  # of the mean variance of the inputs, added to each (section 3.3 of the paper)
BLOCK = 128  # columns after which the rounding errors are handed on to all that follow (section 3.3, "lazy batches")
CLIPS = np.linspace(1.0, 0.5, 21)  # shares of a group's largest weight tried as the end of its range
LEAST_SCALE = 2.0**-24  # the smallest float16 above 0


@dataclass(frozen=True)
class Inputs:
    """What a matrix is multiplied with: mean (K,) and covariance (K, K), float64."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Rounded:
    """A matrix (N, K) in groups of `size`: values (N, K) int16 and scales (N, ceil(K / size)) float16."""

    values: np.ndarray
    scales: np.ndarray
    size: int
    bits: int

    def matrix(self) -> np.ndarray:
        """The weights (N, K) that these stand for, float32."""
        return self.values * spread(self.scales, self.size, self.values.shape[1]).astype(np.float32)


def plain(weight: np.ndarray, size: int, bits: int) -> Rounded:
    """Each weight to its nearest value."""
    scales = choose_scales(weight, size, bits, np.ones(weight.shape[1]))
    return _nearest(weight.astype(np.float64), scales, size, bits)


def for_inputs(weight: np.ndarray, inputs: Inputs, size: int, bits: int) -> Rounded:
    """Rounded so that the variance of the outputs' errors is small: in no row larger than `plain` would make it.

    Column after column is rounded, and what that changes in the outputs is made up for by the columns to come (the
    paper's algorithm 1), those with inputs of large variance first, with scales chosen before ("act-order", static
    groups, in the authors' code). The mean of the errors is left to the bias, see `shift`.
    """
    weight = weight.astype(np.float64)
    variance = np.diag(inputs.covariance)
    damping = DAMPING * variance.mean() or 1.0  # inputs that never change: any rounding is as good
    hessian = inputs.covariance + damping * np.eye(len(variance))
    scales = choose_scales(weight, size, bits, np.diag(hessian))
    nearest = _nearest(weight, scales, size, bits)
    values = compensated(weight, spread(scales, size, len(variance)), hessian, bits)
    step = spread(scales, size, len(variance)).astype(np.float64)
    errors = [_errors(weight - found * step, hessian) for found in (values, nearest.values)]
    values = np.where((errors[0] <= errors[1])[:, None], values, nearest.values)
    return Rounded(values.astype(np.int16), scales, size, bits)


def shift(weight: np.ndarray, rounded: Rounded, inputs: Inputs) -> np.ndarray:
    """(N,): what has to be added to the outputs so that their means are what they were."""
    return (weight - rounded.matrix()) @ inputs.mean


def choose_scales(weight: np.ndarray, size: int, bits: int, importance: np.ndarray) -> np.ndarray:
    """Scales (N, groups) float16 of least squared error, columns weighted by `importance` (K,).

    The end of the range is searched below the largest weight. Whole numbers of b bits go one further down than up, so
    a scale may be negative: the larger side of a group gets the longer side of the range.
    """
    groups = grouped(weight.astype(np.float64), size)  # (N, groups, size)
    importance = grouped(np.asarray(importance, np.float64)[None], size)
    low, high = limits(bits)
    largest = np.take_along_axis(groups, np.abs(groups).argmax(axis=2)[..., None], axis=2)[..., 0]
    best, least = np.ones(largest.shape, np.float16), np.full(largest.shape, np.inf)
    for end in (low, high):
        for clip in CLIPS:
            scale = largest * clip / end
            scale = np.where(np.abs(scale) < LEAST_SCALE, LEAST_SCALE, scale).astype(np.float16)
            step = scale[..., None].astype(np.float64)
            error = (importance * np.square(np.clip(np.rint(groups / step), low, high) * step - groups)).sum(axis=2)
            better = error < least
            least[better], best[better] = error[better], scale[better]
    return best


def limits(bits: int) -> tuple[int, int]:
    """The smallest and the largest whole number of so many bits."""
    return -(1 << bits - 1), (1 << bits - 1) - 1


def grouped(matrix: np.ndarray, size: int) -> np.ndarray:
    """(N, K) -> (N, groups, size), filled up with zeros."""
    filled = np.pad(matrix, [(0, 0), (0, -matrix.shape[1] % size)])
    return filled.reshape(len(matrix), -1, size)


def spread(scales: np.ndarray, size: int, columns: int) -> np.ndarray:
    """The scale of each weight: (N, groups) -> (N, columns)."""
    return np.repeat(scales, size, axis=1)[:, :columns]


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers (N, K) of 4 or 8 bits -> (N, ceil(K * bits / 8)) uint8, the first in the low bits; 0 becomes the
    middle of the range."""
    raw = (values - limits(bits)[0]).astype(np.uint8)
    if bits == 8:
        return raw
    raw = np.pad(raw, [(0, 0), (0, raw.shape[1] % 2)], constant_values=8)
    return raw[:, ::2] | raw[:, 1::2] << 4


def unpack(packed: np.ndarray, columns: int, bits: int) -> np.ndarray:
    """What `pack` took: (N, columns) int16."""
    if bits == 4:
        packed = np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)
    return packed[:, :columns].astype(np.int16) + limits(bits)[0]


def _nearest(weight: np.ndarray, scales: np.ndarray, size: int, bits: int) -> Rounded:
    values = np.clip(np.rint(weight / spread(scales, size, weight.shape[1])), *limits(bits))
    return Rounded(values.astype(np.int16), scales, size, bits)


def compensated(weight: np.ndarray, scale: np.ndarray, hessian: np.ndarray, bits: int) -> np.ndarray:
    """Algorithm 1 of the paper on a matrix (N, K) with a scale for each weight; values (N, K), float64."""
    order = np.argsort(-np.diag(hessian), kind="stable")
    scale = scale[:, order].astype(np.float64)
    # Row j of the upper Cholesky factor of the inverse says how the columns after j make up for an error in it.
    factor = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    left, values = weight[:, order], np.empty_like(weight)
    for start in range(0, len(order), BLOCK):
        end = min(start + BLOCK, len(order))
        errors = np.empty((len(weight), end - start))
        for j in range(start, end):
            rounded = np.clip(np.rint(left[:, j] / scale[:, j]), *limits(bits))
            errors[:, j - start] = (left[:, j] - rounded * scale[:, j]) / factor[j, j]
            left[:, j:end] -= errors[:, j - start, None] * factor[j, j:end]
            values[:, order[j]] = rounded
        left[:, end:] -= errors @ factor[start:end, end:]
    return values


def _errors(difference: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """(N,): expected square of each output's error for weights that differ by (N, K)."""
    return np.einsum("nk,nk->n", difference @ hessian, difference)
