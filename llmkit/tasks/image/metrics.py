"""How near made pictures are to real ones: distances between two sets of features. Numpy only.

In: features (N, D) and (M, D) of two sets of pictures. All figures depend on how many pictures there are, so they
compare only with figures of as many.
"""

import numpy as np

NEIGHBOURS = 3  # of precision and recall; the value of Kynkäänniemi et al., arXiv 1904.06991, section 3
KERNEL = 3  # degree of KID's polynomial kernel (Bińkowski et al., arXiv 1801.01401, section 4)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance of the normal distributions fitted to both (Heusel et al., arXiv 1706.08500, eq. 6).

    |m1 - m2|² + tr(C1) + tr(C2) - 2 tr((C1 C2)^½), the last by the eigenvalues of C1^½ C2 C1^½.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    gap = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.atleast_2d(np.cov(first, rowvar=False)), np.atleast_2d(np.cov(second, rowvar=False))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ two @ root)
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * np.sqrt(np.clip(shared, 0, None)).sum())


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """KID: the squared maximum mean discrepancy with the kernel (x·y / D + 1)³, without bias, so it may be below 0."""
    first, second = first.astype(np.float64), second.astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** KERNEL

    def others(a: np.ndarray) -> float:
        """Mean over the pairs of two different rows."""
        products = kernel(a, a)
        return (products.sum() - np.trace(products)) / (len(a) * (len(a) - 1))

    return float(others(first) + others(second) - 2 * kernel(first, second).mean())


def precision_and_recall(real: np.ndarray, made: np.ndarray, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Share of made pictures within the reach of real ones, and of real ones within that of made ones.

    The reach of a picture is the distance to its k-th nearest neighbour in its own set (Kynkäänniemi et al., arXiv
    1904.06991, section 2).
    """
    apart = _distances(real, made)

    def reach(features: np.ndarray) -> np.ndarray:
        return np.partition(_distances(features, features), neighbours, axis=1)[:, neighbours]  # 0 is itself

    precision = (apart <= reach(real)[:, None]).any(axis=0).mean()
    recall = (apart <= reach(made)[None, :]).any(axis=1).mean()
    return float(precision), float(recall)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (N, M)."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None, :]
    return np.clip(squares - 2 * first @ second.T, 0, None)
