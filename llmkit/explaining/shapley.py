"""What each of n players contributes to what they are worth together: Shapley values, exact or sampled.

In: a function of coalitions, (M, n) bool to (M, A): A figures of each at once. Out: contributions (n, A), which add up
to the worth of all less that of none (Shapley, "A value for n-person games", 1953). Exact for few players; else the
mean over random orders in which players join one by one, each order followed by its reverse (Castro et al., "Polynomial
calculation of the Shapley value based on sampling", 2009; antithetic pairs: Mitchell et al., arXiv 2104.12199, section
4). Whatever the number of orders, the contributions of each add up exactly.
"""

import math
from collections.abc import Callable

import numpy as np

Worth = Callable[[np.ndarray], np.ndarray]
"""Coalitions (M, n) bool -> what they are worth (M, A)."""

MOST_PAIRS = 16  # of orders: more tell little that is new
SEED = 0


def contributions(worth: Worth, players: int, budget: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """(contributions (n, A), worth of none (A,)) with about `budget` coalitions; two orders are the least."""
    if players and 2**players > max(budget, 2):
        return _sampled(worth, players, budget, seed)
    return _exact(worth, players)


def _exact(worth: Worth, players: int) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(2**players)
    masks = (codes[:, None] >> np.arange(players)) & 1 == 1  # (2^n, n)
    values = worth(masks)  # (2^n, A)
    sizes = masks.sum(axis=1)
    share = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    found = np.zeros((players, values.shape[1]))
    for player in range(players):
        without = codes[~masks[:, player]]
        gain = values[without | 1 << player] - values[without]
        found[player] = share[sizes[without]] @ gain
    return found, values[0]


def _sampled(worth: Worth, players: int, budget: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    pairs = min(max(budget // (2 * players), 1), MOST_PAIRS)
    # Many players, few orders: the order that they stand in is one, as words then join their neighbours.
    orders = [generator.permutation(players) for _ in range(pairs - 1)] + [np.arange(players)]
    order = np.array([one for first in orders for one in (first, first[::-1])])  # (R, n)
    rank = np.argsort(order, axis=1)
    masks = rank[:, None, :] < np.arange(players + 1)[:, None]  # (R, n + 1, n): the first k have joined
    different, number = _once(masks.reshape(-1, players))
    values = worth(different)[number].reshape(len(order), players + 1, -1)  # (R, n + 1, A)
    gains = np.diff(values, axis=1)  # (R, n, A), by place in the order
    by_player = np.take_along_axis(gains, rank[:, :, None], axis=1)
    return by_player.mean(axis=0), values[0, 0]


def _once(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the different rows, number of each row among them): nobody and everybody occur in every order."""
    packed = np.packbits(masks, axis=1)
    first: dict[bytes, int] = {}
    number = np.array([first.setdefault(row.tobytes(), len(first)) for row in packed])
    places = np.zeros(len(first), np.int64)
    places[number[::-1]] = np.arange(len(masks))[::-1]
    return masks[places], number
