"""Raw values to arrays: scaling and categories, learnt from the training rows only."""

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.data import encoding
from llmkit.data.columns import Rows
from llmkit.errors import InputError
from llmkit.store.files import Files

MISSING = ["", "?"]


def rows_of(numbers, words=()):
    table = np.array(numbers, float).reshape(len(numbers), -1)
    names = [f"n{k}" for k in range(table.shape[1])]
    found = np.full((len(table), 1 if words else 0), None, dtype=object)
    if words:
        found[:, 0] = words
    return Rows(table, found), (names, ["word"] if words else [])


def test_standard_scaling_by_hand():
    rows, names = rows_of([0, 2, 4, 6])
    learnt = encoding.learn(rows, names, "standard", MISSING)
    deviation = np.sqrt(5)
    encoded, _ = learnt.encode(rows_of([3, 3 + deviation, 1000, np.nan])[0])
    assert encoded[:, 0] == pytest.approx([0, 1, 4, 0], abs=1e-5)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=60), st.sampled_from(["quantile", "both"]))
def test_scaling_keeps_the_order_and_stays_finite(values, scaling):
    rows, names = rows_of(values)
    learnt = encoding.learn(rows, names, scaling, MISSING)
    encoded, _ = learnt.encode(rows_of([*sorted(values), 1e30])[0])
    assert np.isfinite(encoded).all() and np.abs(encoded).max() < 20
    assert (np.diff(encoded[:, 0]) >= -1e-6).all()


def test_quantile_scaling_has_mean_0_and_deviation_1_whatever_the_distribution():
    rows, names = rows_of(np.exp(np.random.default_rng(0).normal(size=500) * 3))
    encoded, _ = encoding.learn(rows, names, "quantile", MISSING).encode(rows)
    assert (encoded.mean(), encoded.std()) == pytest.approx((0, 1), abs=1e-5)


def test_missing_numbers_get_a_column_of_their_own_where_training_lacked_some():
    learnt = encoding.learn(*rows_of([[1, 5], [2, np.nan], [3, 7]]), "standard", MISSING)
    assert [column.missing for column in learnt.numbers] == [False, True]
    encoded, _ = learnt.encode(rows_of([[np.nan, np.nan]])[0])
    assert encoded.tolist() == [[0, 0, 1]]


def test_a_column_without_values_or_of_one_value_tells_nothing():
    learnt = encoding.learn(*rows_of([[np.nan, 5], [np.nan, 5]]), "both", MISSING)
    encoded, _ = learnt.encode(rows_of([[3, 9], [np.nan, 5]])[0])
    assert encoded.tolist() == [[0, 0, 0], [0, 1, 0]]


def test_categories_are_numbered_and_those_seen_once_or_never_are_0():
    rows, names = rows_of([0] * 7, ["b", "a", "b", "a", "once", None, None])
    learnt = encoding.learn(rows, names, "standard", MISSING)
    assert learnt.categories[0].values == [None, "a", "b"]
    given, _ = rows_of([0] * 5, ["a", "b", "once", "never", None])
    assert learnt.encode(given)[1][:, 0].tolist() == [2, 3, 0, 0, 1]
    assert learnt.unseen(given) == [(2, "word", "once"), (3, "word", "never")]


def test_it_is_plain_json_and_comes_back_the_same(tmp_path):
    rows, names = rows_of([[1, np.nan], [2, 5], [4, 6]], ["x", "x", None])
    learnt = encoding.learn(rows, names, "both", MISSING)
    encoding.save(learnt, tmp_path / "columns.json")
    json.loads((tmp_path / "columns.json").read_text())
    assert encoding.load(Files(tmp_path)) == learnt


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("numbers", 0, "maps", 0), [[1.0, 2.0], [1.0]], "the scaling of 'n0' is no map"),
        (("numbers", 0, "maps", 0), [[2.0, 1.0], [1.0, 2.0]], "the scaling of 'n0' is no map"),
        (("numbers", 0, "maps", 0), [[], []], "the scaling of 'n0' is no map"),
        (("numbers", 0, "name"), 3, "Expected `str`, got `int`"),
        (("categories", 0, "offset"), 10**9, "'word' begins at 1,000,000,000 and not at 0"),
        (("categories", 0, "values"), None, "Expected `array`, got `null`"),
    ],
)
def test_columns_that_are_damaged(tmp_path, place, value, says):
    learnt = encoding.learn(*rows_of([1.0, 2.0], ["a", "a"]), "standard", [""])
    encoding.save(learnt, tmp_path / encoding.FILE)
    data = json.loads((tmp_path / encoding.FILE).read_text())
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / encoding.FILE).write_text(json.dumps(data))
    with pytest.raises(InputError, match=f"columns.json is damaged: {says}"):
        encoding.load(Files(tmp_path))
