"""An n-gram model of token ids: interpolated modified Kneser-Ney (Chen and Goodman 1998, sections 2.7 and 3).

In: a stream of token ids of any vocabulary. Out: `NGram`, which scores streams, gives next-token distributions for
many contexts at once and is stepped token by token. numpy only.

All n-grams lie in one trie, level by level as sorted arrays: level k holds the k-grams, a node's children (the
k+1-grams that begin with it) are a contiguous range of level k + 1, sorted by token. Each node stores its share
a(hw) of the interpolation

    p(w | h) = a(hw) + g(h) p(w | h without its first token),   g(h) = 1 - sum of a(hw) over the children of h

so the probabilities sum to one whatever a is rounded to, and g need not be stored.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAX_ORDER = 10
MAX_TOKENS = 8_000_000  # trained on at most: sorting them takes about a gigabyte
LONGER = 2  # orders that are looked at beyond the best one
MOST_BYTES = 2_000_000  # of a packed model
LEAST_GAIN = 0.1  # nats on the whole training text that an n-gram must save to be kept
MOST = 1 - 1e-4  # of a context's probability may belong to its own children
SCORED = 1 << 20  # tokens scored at once
KEPT = 1 << 21  # numbers of distributions that are kept for contexts to come
SHORT = 4  # tokens of context up to which every distribution is kept
DENSE_BIGRAMS = 512  # tokens in a vocabulary up to which the distributions after one token are kept as a table
Report = Callable[[int, int], None]


# --- counting -------------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """The k-grams of a text for one k, sorted by their tokens: arrays (n,), and where each stands.

    `parent` is the index of the first k - 1 tokens on the level below, `suffix` that of the last k - 1.
    """

    parent: np.ndarray
    token: np.ndarray
    suffix: np.ndarray
    raw: np.ndarray
    """How often it stands in the text."""
    at: np.ndarray
    """(N - k + 1,): the index of the k-gram that begins at each place of the text."""

    def __len__(self) -> int:
        return len(self.token)


def first_level(tokens: np.ndarray, vocab_size: int) -> Counts:
    """The level of single tokens: one node for each id of the vocabulary, seen or not."""
    raw = np.bincount(tokens, minlength=vocab_size)
    zeros = np.zeros(vocab_size, np.int32)
    return Counts(zeros, np.arange(vocab_size), zeros, raw, tokens.astype(np.int32))


def next_level(tokens: np.ndarray, vocab_size: int, below: Counts) -> Counts:
    """The level of n-grams one token longer than those of `below`."""
    order = len(tokens) - len(below.at) + 1  # tokens of an n-gram of `below`
    keys = below.at[:-1].astype(np.int64) * vocab_size + tokens[order:]  # fits: 2^31 nodes and 2^20 tokens at most
    found, at, raw = np.unique(keys, return_inverse=True, return_counts=True)
    at = at.astype(np.int32)
    suffix = np.empty(len(found), np.int32)
    suffix[at] = below.at[1:]
    return Counts((found // vocab_size).astype(np.int32), found % vocab_size, suffix, raw, at)


def continuations(above: Counts, nodes: int) -> np.ndarray:
    """(nodes,): the number of different tokens that each n-gram follows, from the level of those one token longer."""
    return np.bincount(above.suffix, minlength=nodes)


def discounts(counts: np.ndarray) -> np.ndarray:
    """What to take off a count of 0, 1, 2 and 3 or more: (4,) (Chen and Goodman 1998, equation 26)."""
    n1, n2, n3, n4 = (float(n) for n in np.bincount(np.minimum(counts, 5), minlength=6)[1:5])
    if min(n1, n2, n3, n4) == 0:  # too little text to estimate them
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.clip(found, [0, 0.01, 0.01, 0.01], [0, 1, 2, 3])


def shares(counts: np.ndarray, parent: np.ndarray, parents: int) -> np.ndarray:
    """a(hw) (n,) of nodes with these counts: what is left of each count after its discount, as a share of the
    context's counts. A context whose counts are all zero (it begins the text) leaves everything to the shorter one."""
    total = np.bincount(parent, counts, parents)
    left = counts - discounts(counts)[np.minimum(counts, 3)]
    return left / np.maximum(total, 1)[parent]


@dataclass
class Shares:
    """The trie with what each node adds to the interpolation, before it is pruned and packed; lists by level."""

    levels: list[Counts]
    shares: list[np.ndarray]
    vocab_size: int


def choose(
    train: np.ndarray,
    val: np.ndarray,
    vocab_size: int,
    max_order: int = MAX_ORDER,
    report: Report = lambda done, total: None,
) -> tuple[list[Shares], list[float]]:
    """Count a training text; (models of the best order and of up to `LONGER` more, loss of order 1, 2, …).

    The loss (nats per token, of every token of `val` but the first) is tried order by order until it has risen for
    `LONGER` orders. Each order's highest level is made of counts, those below of the number of different tokens that
    come before.
    """
    train, val = limited(train, MAX_TOKENS), np.asarray(val)
    levels = [first_level(train, vocab_size)]
    tops: list[np.ndarray] = []  # a of each level as the highest
    lower: list[np.ndarray] = []  # a of each level that has one above it
    nodes: np.ndarray = val.astype(np.int64)  # the k-gram that ends at each token of val, -1 where it is unknown
    backed_off = np.full(len(val) - 1, 1 / vocab_size)  # p of each token of val but the first, one order lower
    contexts = np.zeros(len(val) - 1, np.int64)  # the node of the level below that each of them follows
    losses: list[float] = []
    while True:
        report(len(levels), max_order)
        level = levels[-1]
        parents = len(levels[-2]) if len(levels) > 1 else 1
        tops.append(shares(level.raw, level.parent, parents))
        probabilities = interpolate(tops[-1], level.parent, parents, nodes[1:], contexts, backed_off)
        losses.append(float(-np.log(probabilities).mean()))
        best = int(np.argmin(losses)) + 1
        if len(levels) == max_order or len(level.at) < 2 or len(levels) >= best + LONGER:
            break
        above = next_level(train, vocab_size, level)
        lower.append(shares(continuations(above, len(level)), level.parent, parents))
        backed_off = interpolate(lower[-1], level.parent, parents, nodes[1:], contexts, backed_off)
        contexts = nodes[:-1]
        nodes = np.concatenate([[-1], find(above, vocab_size, contexts, val[1:])])
        levels.append(above)
    report(max_order, max_order)
    orders = range(best, len(levels) + 1)
    return [Shares(levels[:n], [*lower[: n - 1], tops[n - 1]], vocab_size) for n in orders], losses


def build(
    train: np.ndarray,
    val: np.ndarray,
    vocab_size: int,
    most_bytes: int = MOST_BYTES,
    report: Report = lambda done, total: None,
    least_count: int = 1,
) -> tuple["NGram", float]:
    """The packed model of a training text with the lowest loss on `val`, and that loss in nats per token.

    Pruned, a model gains from somewhat longer n-grams than it does whole: the best order is looked for again.
    """
    candidates, _ = choose(train, val, vocab_size, report=report)
    models = [NGram(pruned(candidate, most_bytes, least_count)) for candidate in candidates]
    losses = [model.loss(val) for model in models]
    best = int(np.argmin(losses))
    return models[best], losses[best]


def limited(tokens: np.ndarray, most: int) -> np.ndarray:
    """At most `most` tokens: whole where it is short, else 64 pieces evenly from the whole."""
    if len(tokens) <= most:
        return np.asarray(tokens)
    starts = np.arange(64) * (len(tokens) // 64)
    return np.concatenate([tokens[start : start + most // 64] for start in starts])


def find(level: Counts, vocab_size: int, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The nodes of a level that go on from `parents` (-1: unknown) with `tokens`, -1 where there are none."""
    keys = level.parent.astype(np.int64) * vocab_size + level.token
    wanted = parents.astype(np.int64) * vocab_size + tokens
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((parents >= 0) & (keys[place] == wanted), place, -1)


def interpolate(
    share: np.ndarray,
    parent: np.ndarray,
    parents: int,
    nodes: np.ndarray,
    contexts: np.ndarray,
    backed_off: np.ndarray,
) -> np.ndarray:
    """p of tokens (N,): a of their `nodes` and g of their `contexts` (-1: unknown) times p given one token less."""
    rest = 1 - np.bincount(parent, share, parents)
    own = np.where(nodes >= 0, share[nodes], 0)
    return own + np.where(contexts >= 0, rest[contexts], 1) * backed_off


# --- pruning --------------------------------------------------------------------------------------------------


def prune(model: Shares, threshold: float, least_count: int = 1) -> Shares:
    """Leave out the n-grams that matter least (Stolcke 1998, "Entropy-based pruning of backoff language models").

    One is left out when that raises the training text's loss (nats per token) by less than `threshold` and no longer
    one begins with it. The contexts' probabilities are their counts, since those of a Kneser-Ney model's lower orders
    are none (Chelba et al. 2010). The n-grams that stay keep their probabilities. What stands in the text fewer than
    `least_count` times is left out whatever it saves (single tokens stay).
    """
    levels, total = model.levels, len(model.levels[0].at)
    full: list[np.ndarray] = []  # p(w | h) of each node
    for k, (level, share) in enumerate(zip(levels, model.shares, strict=True)):
        rest = 1 - np.bincount(level.parent, share, len(levels[k - 1]) if k else 1)  # g of the level below
        full.append(share + rest[level.parent] * (full[k - 1][level.suffix] if k else 1 / model.vocab_size))
    keeps = [np.ones(len(levels[0]), bool)]
    for k in range(len(levels) - 1, 0, -1):
        level, p, low = levels[k], full[k], full[k - 1][levels[k].suffix]
        contexts = len(levels[k - 1])
        left = np.maximum(1 - np.bincount(level.parent, p, contexts), 1e-9)[level.parent]
        left_low = np.maximum(1 - np.bincount(level.parent, low, contexts), 1e-9)[level.parent]
        before, after = np.log(left / left_low), np.log((left + p) / (left_low + low))
        cost = p * (np.log(p) - np.log(low) - after) - (after - before) * left
        keep = cost * levels[k - 1].raw[level.parent] / total >= threshold
        keep &= levels[k].raw >= least_count
        if k + 1 < len(levels):
            keep[levels[k + 1].parent[keeps[1]]] = True
        keeps.insert(1, keep)
    return _without(model, full, keeps)


def pruned(model: Shares, most_bytes: int, least_count: int = 1) -> dict[str, np.ndarray]:
    """The packed arrays of a model without what a tenth of a nat on the whole training text does not pay for.

    (That makes it smaller and better: an n-gram seen once is mostly chance.) Where it is still larger than
    `most_bytes`, more is left out; what stands there fewer than `least_count` times, too.
    """
    threshold = LEAST_GAIN / len(model.levels[0].at)
    while True:
        arrays = pack(prune(model, threshold, least_count))
        size = sum(array.nbytes for array in arrays.values())
        if size <= most_bytes or "tokens.2" not in arrays:
            return arrays
        threshold *= max(1.2, (size / most_bytes) ** 1.4)


def _without(model: Shares, full: list[np.ndarray], keeps: list[np.ndarray]) -> Shares:
    """The n-grams to keep, with shares that leave them their probabilities `full`."""
    levels, new_shares = [model.levels[0]], [model.shares[0]]
    low_all = full[0]  # p of every n-gram of the level below, in the pruned model
    index = np.arange(len(levels[0]))  # of the level below: old place -> new one
    for k in range(1, len(model.levels)):
        level, keep, contexts = model.levels[k], keeps[k], len(model.levels[k - 1])
        low = low_all[level.suffix]
        left = 1 - np.bincount(level.parent, full[k] * keep, contexts)
        left_low = 1 - np.bincount(level.parent, low * keep, contexts)
        factor = np.maximum(left, 1e-9) / np.maximum(left_low, 1e-9)
        share = np.where(keep, np.maximum(full[k] - factor[level.parent] * low, 0), 0)
        rest = 1 - np.bincount(level.parent, share, contexts)
        low_all = share + rest[level.parent] * low
        if not keep.any():
            break
        kept = np.flatnonzero(keep)
        levels.append(Counts(index[level.parent[kept]], level.token[kept], np.zeros(0), level.raw[kept], np.zeros(0)))
        new_shares.append(share[kept])
        index = np.cumsum(keep) - 1
    return Shares(levels, new_shares, model.vocab_size)


# --- the packed model -----------------------------------------------------------------------------------------


class NGram:
    """A packed n-gram model: scores, gives distributions, is stepped. `arrays` is what `pack` made or a file held.

    A context is described by its nodes: `nodes[k]` is the k+1-gram that ends it, or -1 where that is unknown.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays
        self.unigrams = arrays["unigrams"]
        self.vocab_size = len(self.unigrams)
        self.order = 1 + sum(name.startswith("tokens.") for name in arrays)
        self.tokens, self.shares, self.first, self.rest, self.keys = [], [], [], [], []
        below = self.vocab_size
        for k in range(2, self.order + 1):
            children, token = arrays[f"children.{k - 1}"], arrays[f"tokens.{k}"]
            first = np.concatenate([[0], np.cumsum(children, dtype=np.int64)])
            parent = np.repeat(np.arange(below, dtype=np.int64), children)
            share = arrays[f"table.{k}"][arrays[f"shares.{k}"]]
            share *= (MOST / np.maximum(np.bincount(parent, share, below), MOST))[
                parent
            ]  # rounded up, they may pass it
            self.tokens.append(token)
            self.shares.append(share)
            self.first.append(first)  # of the children of each node of the level below
            self.rest.append((1 - np.bincount(parent, share, below)).astype(np.float32))  # g of those nodes
            self.keys.append(parent * self.vocab_size + token)
            below = len(token)
        self._views = [(first.data, tokens.data) for first, tokens in zip(self.first, self.tokens, strict=True)]
        self._kept: dict[tuple[int, int], tuple[int, np.ndarray, np.ndarray]] = {}
        self.bigrams = self._bigrams() if self.order > 1 and self.vocab_size <= DENSE_BIGRAMS else None

    @property
    def contexts(self) -> int:
        """Tokens of context that it looks at, at most."""
        return self.order - 1

    def match(self, tokens: np.ndarray) -> np.ndarray:
        """Nodes (order - 1, T, ...) of the context up to and with each of the tokens (T, ...) of parallel streams.

        A token of -1 is no token: before it begins nothing.
        """
        nodes = np.full((self.contexts, *tokens.shape), -1, np.int32)
        if self.contexts:
            nodes[0] = tokens
        for k in range(1, self.contexts):
            nodes[k, 1:] = self._children(k, nodes[k - 1, :-1], tokens[1:])
        return nodes

    def _children(self, k: int, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The children on level k + 1 (k from 1) of nodes of level k that go on with `tokens`, -1: none."""
        keys = self.keys[k - 1]
        wanted = parents.astype(np.int64) * self.vocab_size + tokens
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((parents >= 0) & (tokens >= 0) & (keys[place] == wanted), place, -1)

    def score(self, tokens: np.ndarray) -> np.ndarray:
        """Log-probabilities (N - 1,) of a stream's tokens (N,) but the first, each after all before it."""
        tokens = np.asarray(tokens).astype(np.int64)
        p = self.unigrams[tokens[1:]].astype(np.float64)
        nodes = tokens
        for k in range(1, self.order):
            contexts = nodes[:-1]
            found = self._children(k, contexts, tokens[1:])
            own = np.where(found >= 0, self.shares[k - 1][found], 0)
            p = own + np.where(contexts >= 0, self.rest[k - 1][contexts], 1) * p
            nodes = np.concatenate([[-1], found])
        return np.log(p).astype(np.float32)

    def loss(self, tokens: np.ndarray) -> float:
        """Nats per token of a stream's tokens (N,) but the first; a long one is read piece by piece."""
        total, before = 0.0, self.contexts
        for start in range(1, len(tokens), SCORED):
            first = max(0, start - max(1, before))
            total -= float(self.score(tokens[first : start + SCORED])[start - first - 1 :].sum(dtype=np.float64))
        return total / (len(tokens) - 1)

    def matched(self, nodes: np.ndarray) -> np.ndarray:
        """How many tokens of the contexts with these nodes (order - 1, N) are known as the beginning of n-grams."""
        length = np.zeros(nodes.shape[1:], np.int64)
        for k in range(self.contexts):
            first, place = self.first[k], np.maximum(nodes[k], 0)
            length[(nodes[k] >= 0) & (first[place + 1] > first[place])] = k + 1
        return length

    def distribution(self, nodes: np.ndarray) -> np.ndarray:
        """Probabilities (N, V) float32 of the tokens after contexts with these nodes (order - 1, N)."""
        rows = nodes.shape[1]
        weight = np.ones(rows, np.float32)  # what the longer contexts leave to the present one
        added = []
        lowest = 1 if self.bigrams is not None else 0
        for k in range(self.contexts - 1, lowest - 1, -1):
            here = np.flatnonzero(nodes[k] >= 0)
            node = nodes[k, here]
            start = self.first[k][node]
            count = self.first[k][node + 1] - start
            end = np.cumsum(count)
            place = np.repeat(start - end + count, count) + np.arange(end[-1] if len(end) else 0)
            row = np.repeat(here, count)
            added.append((row * self.vocab_size + self.tokens[k][place], weight[row] * self.shares[k][place]))
            weight[here] *= self.rest[k][node]
        below = self.unigrams if self.bigrams is None else self.bigrams[nodes[0]]  # -1, no token, is the last row
        out = weight[:, None] * below
        flat = out.reshape(-1)
        for place, values in added:
            flat[place] += values  # a context has each child once
        return out

    def _bigrams(self) -> np.ndarray:
        """(V + 1, V): the distribution after each token and, in the last row, after none."""
        table = np.append(self.rest[0], np.float32(1))[:, None] * self.unigrams
        parent = np.repeat(np.arange(self.vocab_size), np.diff(self.first[0]))
        table[parent, self.tokens[0]] += self.shares[0]
        return table

    # --- one token at a time ---

    def follow(self, nodes: list[int], token: int) -> list[int]:
        """The nodes (order - 1) of a context with one more token; `start` gives those of no context."""
        new = [token] if nodes else []
        for k in range(1, len(nodes)):
            parent, child = nodes[k - 1], -1
            if parent >= 0:
                first, tokens = self._views[k - 1]
                end = first[parent + 1]
                place = bisect_left(tokens, token, first[parent], end)
                if place < end and tokens[place] == token:
                    child = place
            new.append(child)
        return new

    @property
    def start(self) -> list[int]:
        """The nodes of an empty context."""
        return [-1] * self.contexts

    def look_up(self, nodes: list[int]) -> tuple[int, np.ndarray]:
        """(known tokens of one context, log-probabilities (V,) float32 of the tokens after it, not to be changed).

        What is found is kept for the next time, by the longest node that begins n-grams: it decides all shorter ones.
        """
        p = self.unigrams
        missing: list[tuple[int, int, int, int]] = []  # (level, node, its first child, its end)
        for k in range(self.contexts - 1, -1, -1):
            node = nodes[k]
            if node < 0:
                continue
            first, _ = self._views[k]
            start, end = first[node], first[node + 1]
            if start == end:
                continue
            kept = self._kept.get((k, node))
            if kept is not None:
                if not missing:
                    return kept[0], kept[2]
                p = kept[1]
                break
            missing.append((k, node, start, end))
        if not missing:
            return 0, np.log(p)
        if len(self._kept) * self.vocab_size > KEPT:
            self._kept.clear()
        p = p.copy()
        for k, node, start, end in reversed(missing):
            p *= self.rest[k][node]
            p[self.tokens[k][start:end]] += self.shares[k][start:end]
            if k < SHORT:
                self._kept[k, node] = k + 1, p.copy(), np.log(p)
        length, logs = missing[0][0] + 1, np.log(p)
        self._kept[missing[0][:2]] = length, p, logs
        return length, logs


def check(arrays: dict[str, np.ndarray]) -> None:
    """Raise KeyError or ValueError for arrays that are no `NGram`, before anything is made of them."""
    unigrams = arrays["unigrams"]
    if unigrams.ndim != 1 or unigrams.dtype != np.float32 or not 0 < len(unigrams) <= 1 << 21:
        raise ValueError("unigrams")
    if not (np.isfinite(unigrams) & (unigrams > 0) & (unigrams <= 1)).all():
        raise ValueError("unigrams that are no probabilities")
    order, below, vocab_size = 1 + sum(name.startswith("tokens.") for name in arrays), len(unigrams), len(unigrams)
    if order > MAX_ORDER or len(arrays) != 1 + 4 * (order - 1):
        raise ValueError(f"{len(arrays)} arrays")
    for k in range(2, order + 1):
        children, token = arrays[f"children.{k - 1}"], arrays[f"tokens.{k}"]
        share, table = arrays[f"shares.{k}"], arrays[f"table.{k}"]
        if any(array.ndim != 1 or array.dtype.kind != "u" for array in (children, token, share)):
            raise ValueError(f"arrays of order {k}")
        if len(children) != below or len(token) == 0 or int(children.sum(dtype=np.float64)) != len(token):
            raise ValueError(f"children.{k - 1}")
        keys = np.repeat(np.arange(below, dtype=np.int64), children) * vocab_size + token
        if int(token.max()) >= vocab_size or (np.diff(keys) <= 0).any():
            raise ValueError(f"tokens.{k}")
        if len(share) != len(token) or share.dtype != np.uint8:
            raise ValueError(f"shares.{k}")
        if table.shape != (256,) or table.dtype != np.float32 or not ((table >= 0) & (table <= 1)).all():
            raise ValueError(f"table.{k}")
        below = len(token)


def pack(model: Shares) -> dict[str, np.ndarray]:
    """The arrays of an `NGram`: tokens and numbers of children of the smallest type, shares as 8-bit codes of logs."""
    size = model.vocab_size
    share = model.shares[0]
    arrays = {"unigrams": (share + (1 - share.sum()) / size).astype(np.float32)}
    for k in range(1, len(model.levels)):
        level, share, below = model.levels[k], model.shares[k], len(model.levels[k - 1])
        arrays[f"children.{k}"] = _smallest(np.bincount(level.parent, minlength=below))
        arrays[f"tokens.{k + 1}"] = _smallest(level.token)
        share = np.clip(share, 1e-7, MOST)
        odds = np.log(share / (1 - share))
        low, step = odds.min(), max((odds.max() - odds.min()) / 255, 1e-9)
        arrays[f"shares.{k + 1}"] = np.round((odds - low) / step).astype(np.uint8)
        arrays[f"table.{k + 1}"] = (1 / (1 + np.exp(-(low + step * np.arange(256))))).astype(np.float32)
    return arrays


def _smallest(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.min_scalar_type(int(numbers.max())))


def to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """The arrays of an `NGram` (and others beside them) as a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
