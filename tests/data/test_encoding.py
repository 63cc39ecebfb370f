"""Raw values to arrays: scaling and categories, learnt from the training rows only."""

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.data import encoding
from llmkit.data.columns import Column, Rows
from llmkit.data.date_format import DateFormat
from llmkit.data.number_format import NumberFormat
from llmkit.errors import InputError
from llmkit.store.files import Files

MISSING = ["", "?"]


def rows_of(numbers, words=()):
    table = np.array(numbers, float).reshape(len(numbers), -1)
    names = [f"n{k}" for k in range(table.shape[1])]
    found = np.full((len(table), 1 if words else 0), None, dtype=object)
    if words:
        found[:, 0] = words
    columns = [Column(name, "number") for name in names]
    return Rows(table, found), [*columns, *([Column("word", "category")] if words else [])]


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


def test_pieces_by_hand():
    """Quartiles of 0 … 8; 3 is through the first piece and half through the second."""
    rows, names = rows_of(range(9))
    learnt = encoding.learn(rows, names, "standard", MISSING, pieces=4)
    assert learnt.numbers[0].edges == [0, 2, 4, 6, 8]
    assert (learnt.width, learnt.numbers[0].width) == (5, 5)
    encoded, _ = learnt.encode(rows_of([3, -1, 9, np.nan])[0])
    assert encoded[:, 1:].tolist() == [[1, 0.5, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_pieces_stand_after_all_scaled_columns_and_equal_values_make_fewer():
    learnt = encoding.learn(*rows_of([[0, 7], [1, 7], [2, np.nan], [3, 7]]), "standard", MISSING, pieces=3)
    assert [column.edges for column in learnt.numbers] == [[0, 1, 2, 3], []]
    encoded, _ = learnt.encode(rows_of([[1.5, np.nan]])[0])
    assert encoded[0, 1:].tolist() == [0, 1, 1, 0.5, 0]  # the second column's score, that it is missing, three pieces


def test_pieces_left_open_follow_the_rows():
    for rows, pieces in ((399, 0), (400, 2), (2000, 10), (20_000, encoding.MOST_PIECES)):
        learnt = encoding.learn(*rows_of(np.arange(rows)), "standard", MISSING, pieces=None)
        assert max(0, len(learnt.numbers[0].edges) - 1) == pieces


@pytest.mark.parametrize("shift", [0.0, 1575420000.0])
def test_a_narrow_column_is_told_apart_wherever_it_lies(shift):
    """Within one second, as times since 1970 are: to a ten-thousandth of its deviation."""
    values = np.random.default_rng(0).uniform(0, 1, 300)
    plain, _ = encoding.learn(*rows_of(values), "both", MISSING).encode(rows_of(values)[0])
    shifted, _ = encoding.learn(*rows_of(values + shift), "both", MISSING).encode(rows_of(values + shift)[0])
    np.testing.assert_allclose(shifted, plain, atol=1e-4)


def test_one_value_beyond_all_others_does_not_hide_them():
    values = np.append(np.arange(100.0), 1e300)
    encoded, _ = encoding.learn(*rows_of(values), "both", MISSING, pieces=4).encode(rows_of(values)[0])
    assert np.isfinite(encoded).all()
    assert np.ptp(encoded[:100, 1]) > 0.09  # of the standard scaling: the outlier counts as 5,000
    assert np.ptp(encoded[:100, 0]) > 2


def test_one_and_zero_stand_for_true_and_false():
    learnt = encoding.learn(*rows_of([1, 2, 3, 4], ["true", "false", "true", "false"]), "standard", MISSING)
    rows, _ = rows_of([1, 1, 1], ["1", "0", "2"])
    assert learnt.encode(rows)[1][:, 0].tolist() == [2, 1, 0]
    assert [value for _, _, value in learnt.unseen(rows)] == ["2"]


def test_how_columns_are_read_is_part_of_it(tmp_path):
    columns = [
        Column("a", "number", NumberFormat(",", ".", "%")),
        Column("b", "date", DateFormat("month", True)),
        Column("c", "category"),
    ]
    rows = Rows(np.arange(12.0).reshape(4, 3), np.full((4, 4), "x", object))
    learnt = encoding.learn(rows, columns, "both", [-1], label=columns[0])
    assert [number.name for number in learnt.numbers] == ["a", "b, days", "b, day of month"]
    assert [category.name for category in learnt.categories] == ["b, weekday", "b, month", "b, hour", "c"]
    encoding.save(learnt, tmp_path / encoding.FILE)
    assert encoding.load(Files(tmp_path)) == learnt


def test_columns_of_the_first_model_folders_are_plain():
    data = {"numbers": [{"name": "a"}], "categories": [{"name": "b"}]}
    assert encoding.columns_of(data) == [Column("a", "number"), Column("b", "category")]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("numbers", 0, "maps", 0), [[1.0, 2.0], [1.0]], "the scaling of 'n0' is no map"),
        (("numbers", 0, "maps", 0), [[2.0, 1.0], [1.0, 2.0]], "the scaling of 'n0' is no map"),
        (("numbers", 0, "maps", 0), [[], []], "the scaling of 'n0' is no map"),
        (("numbers", 0, "edges"), [1.0, 1.0], "the pieces of 'n0' do not rise"),
        (("numbers", 0, "name"), 3, "Expected `str`, got `int`"),
        (("numbers", 0, "name"), "other", "other columns of numbers than columns"),
        (("categories", 0, "offset"), 10**9, "'word' begins at 1,000,000,000 and not at 0"),
        (("categories", 0, "values"), None, "Expected `array`, got `null`"),
        (("columns", 0, "format"), {"decimal": ".", "thousands": "x"}, "no number is written so: '.', 'x'"),
        (("columns", 0, "kind"), "date", "Expected `object`, got `null`|"),
    ],
)
def test_columns_that_are_damaged(tmp_path, place, value, says):
    rows, names = rows_of([1.0, 2.0], ["a", "a"])
    encoding.save(encoding.learn(rows, names, "standard", [""]), tmp_path / encoding.FILE)
    data = json.loads((tmp_path / encoding.FILE).read_text())
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / encoding.FILE).write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"columns.json is damaged: no columns \({says}"):
        encoding.load(Files(tmp_path))
