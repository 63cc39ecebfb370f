"""The n-gram model against a slow one made of dictionaries, straight from the formulas of Chen and Goodman."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmkit.store.files import Files
from llmkit.tasks.language import ngram

STREAMS = st.integers(1, 5).flatmap(
    lambda size: st.tuples(st.just(size), st.lists(st.integers(0, size - 1), min_size=6, max_size=120))
)


class Slow:
    """Interpolated modified Kneser-Ney, one probability at a time."""

    def __init__(self, tokens: list[int], vocab_size: int, order: int):
        self.vocab_size, self.order = vocab_size, order
        grams = [Counter(tuple(tokens[i : i + k]) for i in range(len(tokens) - k + 1)) for k in range(order + 2)]
        self.counts = {order: grams[order]}
        for k in range(1, order):
            before = defaultdict(set)
            for gram in grams[k + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[k] = Counter({gram: len(found) for gram, found in before.items()})
        self.discount = {}
        for k in range(1, order + 1):
            n = Counter(self.counts[k].values())
            self.discount[k] = [0.0, 0.5, 1.0, 1.5]
            if all(n[i] for i in (1, 2, 3, 4)):
                y = n[1] / (n[1] + 2 * n[2])
                self.discount[k] = [0.0] + [min(max(i - (i + 1) * y * n[i + 1] / n[i], 0.01), i) for i in (1, 2, 3)]

    def probability(self, context: tuple[int, ...], token: int) -> float:
        k = min(len(context) + 1, self.order)
        if k == 0:
            return 1 / self.vocab_size
        context = context[len(context) - k + 1 :]
        follow = {w: self.counts[k][(*context, w)] for w in range(self.vocab_size)}
        total = sum(follow.values())
        low = 1 / self.vocab_size if k == 1 else self.probability(context[1:], token)
        if not total:
            return low
        taken = {w: self.discount[k][min(c, 3)] for w, c in follow.items()}
        return max(follow[token] - taken[token], 0) / total + sum(taken.values()) / total * low


def counted(tokens: list[int], vocab_size: int, order: int) -> ngram.Shares:
    return ngram.choose(np.array(tokens), np.array(tokens), vocab_size, order)[0][0]


def unpacked(model: ngram.Shares) -> ngram.NGram:
    """The model with its shares as they are, not as 8-bit codes."""
    arrays = ngram.pack(model)
    for k, share in enumerate(model.shares[1:], 2):
        arrays[f"table.{k}"] = share
        arrays[f"shares.{k}"] = np.arange(len(share))
    return ngram.NGram(arrays)


@settings(max_examples=60, deadline=None)
@given(STREAMS, st.integers(1, 4), st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_it_equals_a_slow_implementation(stream, order, scored):
    size, tokens = stream
    scored = np.array(scored) % size
    model = counted(tokens, size, order)
    slow = Slow(tokens, size, len(model.levels))
    expected = [slow.probability(tuple(scored[: i + 1].tolist()), int(scored[i + 1])) for i in range(len(scored) - 1)]
    found = unpacked(model).score(scored)
    assert np.exp(found) == pytest.approx(expected, abs=2e-4)  # MOST: a context keeps 1e-4 for the shorter one


@settings(max_examples=60, deadline=None)
@given(STREAMS, st.integers(1, 5), st.floats(0, 0.02), st.lists(st.integers(-1, 4), min_size=1, max_size=20))
def test_every_way_to_a_probability_gives_the_same_and_they_sum_to_one(stream, order, threshold, scored):
    size, tokens = stream
    scored = np.where(np.array(scored) < 0, -1, np.array(scored) % size)
    model = ngram.NGram(ngram.pack(ngram.prune(counted(tokens, size, order), threshold)))
    nodes = model.match(scored)
    dense = model.distribution(nodes)
    assert dense.sum(axis=1) == pytest.approx(np.ones(len(scored)), abs=1e-5)
    assert (dense > 0).all()
    without_table = ngram.NGram(model.arrays)
    without_table.bigrams = None
    assert without_table.distribution(nodes) == pytest.approx(dense, abs=1e-6)
    if (scored >= 0).all() and len(scored) > 1:
        assert np.exp(model.score(scored)) == pytest.approx(dense[np.arange(len(scored) - 1), scored[1:]], abs=1e-6)
        context = model.start
        for i, token in enumerate(scored.tolist()):
            context = model.follow(context, token)
            assert context == nodes[:, i].tolist()
            assert model.look_up(context)[0] == model.matched(nodes)[i]
            assert np.exp(model.look_up(context)[1]) == pytest.approx(dense[i], abs=1e-6)


def test_what_stays_after_pruning_keeps_its_probability():
    tokens = np.random.default_rng(0).choice(4, 3000, p=[0.5, 0.3, 0.15, 0.05]).tolist()
    model = ngram.Shares(*_third_order(tokens, 4))
    before = unpacked(model)
    after = ngram.prune(model, 1e-4)
    assert [len(level) for level in after.levels] < [len(level) for level in model.levels]
    packed = unpacked(after)
    for k, level in enumerate(after.levels[1:], 1):
        for node in range(len(level)):
            gram = _gram(after.levels, k, node)
            if after.shares[k][node] > 0:
                p, q = (math.exp(m.score(np.array(gram))[-1]) for m in (before, packed))
                assert p == pytest.approx(q, rel=2e-3)


def test_what_stands_there_seldom_is_left_out():
    tokens = np.random.default_rng(0).choice(4, 3000, p=[0.5, 0.3, 0.15, 0.05]).tolist()
    model = ngram.Shares(*_third_order(tokens, 4))
    seldom = [np.sum(level.raw < 30) for level in model.levels]
    assert min(seldom[1:]) > 0
    after = ngram.prune(model, -math.inf, least_count=30)
    assert [len(level) for level in after.levels[1:]] == [
        len(level) - less for level, less in zip(model.levels[1:], seldom[1:], strict=True)
    ]
    assert all((level.raw >= 30).all() for level in after.levels[1:])
    assert np.exp(unpacked(after).distribution(np.full((2, 1), -1))).sum() > 0


def _third_order(tokens, size):
    text = np.array(tokens)
    levels = [ngram.first_level(text, size)]
    for _ in range(2):
        levels.append(ngram.next_level(text, size, levels[-1]))
    shares = []
    for k, level in enumerate(levels):
        counts = level.raw if k == 2 else ngram.continuations(levels[k + 1], len(level))
        shares.append(ngram.shares(counts, level.parent, len(levels[k - 1]) if k else 1))
    return levels, shares, size


def _gram(levels, k, node):
    gram = []
    for level in reversed(levels[: k + 1]):
        gram.insert(0, int(level.token[node]))
        node = int(level.parent[node])
    return gram


def test_the_order_is_the_one_that_predicts_the_validation_text_best():
    """Each token is decided by the two before it: a third order finds that, a fourth can only lose."""
    generator = np.random.default_rng(0)
    tokens = [0, 1]
    for _ in range(4000):
        tokens.append((tokens[-1] + tokens[-2]) % 5 if generator.random() < 0.9 else int(generator.integers(5)))
    models, losses = ngram.choose(np.array(tokens[:3500]), np.array(tokens[3500:]), 5)
    assert [len(model.levels) for model in models] == [3, 4, 5]
    assert losses[2] == min(losses)
    assert len(losses) == 5


def test_the_matched_length_is_that_of_the_longest_known_context():
    model = unpacked(ngram.Shares(*_third_order([0, 1, 2, 0, 1, 3, 0, 1, 2], 5)))
    nodes = model.match(np.array([4, 0, 1, 2, 1]))
    assert model.matched(nodes).tolist() == [0, 1, 2, 2, 1]


def test_a_large_text_is_sampled_evenly_and_a_small_model_is_within_its_bytes():
    assert len(ngram.limited(np.arange(10_000), 640)) == 640
    assert ngram.limited(np.arange(10_000), 640)[[0, 10, 639]].tolist() == [0, 156, 9837]
    tokens = np.random.default_rng(1).integers(0, 30, 20_000)
    model = ngram.Shares(*_third_order(tokens, 30))
    sizes = [sum(a.nbytes for a in ngram.pruned(model, most).values()) for most in (10**9, 20_000, 1)]
    assert sizes[0] > 20_000 >= sizes[1] > sizes[2]


def test_a_saved_model_is_the_same(tmp_path):
    arrays = ngram.pack(ngram.Shares(*_third_order([0, 1, 2, 0, 1, 3, 0, 1, 2], 5)))
    (tmp_path / "ngram.safetensors").write_bytes(ngram.to_bytes(arrays))
    loaded = ngram.NGram(Files(tmp_path).tensors("ngram.safetensors"))
    scored = np.array([0, 1, 2, 4, 3])
    assert loaded.score(scored).tolist() == ngram.NGram(arrays).score(scored).tolist()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("unigrams", lambda array: array * 0, "unigrams that are no probabilities"),
        ("unigrams", lambda array: array.astype(np.float64), "unigrams"),
        ("children.1", lambda array: array + 1, "children.1"),
        ("children.1", lambda array: np.full(len(array), 2**32 - 1, np.uint32), "children.1"),
        ("tokens.2", lambda array: array + 5, "tokens.2"),
        ("tokens.2", lambda array: np.roll(array, -1), "tokens.2"),
        ("shares.2", lambda array: array[:-1], "shares.2"),
        ("table.2", lambda array: array[:-1], "table.2"),
        ("table.2", lambda array: array * np.nan, "table.2"),
        ("more", lambda array: np.zeros(3), "arrays"),
    ],
)
def test_arrays_that_are_no_model(name, change, says):
    arrays = ngram.pack(ngram.Shares(*_third_order([0, 1, 2, 0, 1, 3, 0, 1, 2], 5)))
    ngram.check(arrays)
    arrays[name] = change(arrays.get(name))
    with pytest.raises(ValueError, match=says):
        ngram.check(arrays)


def test_a_missing_array_is_named():
    arrays = ngram.pack(ngram.Shares(*_third_order([0, 1, 2, 0, 1, 3, 0, 1, 2], 5)))
    arrays["x"] = arrays.pop("table.2")
    with pytest.raises(KeyError, match=r"table\.2"):
        ngram.check(arrays)
