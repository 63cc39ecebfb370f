"""The linear baseline against the solution of its normal equations, and the constant's metrics by hand."""

import json

import numpy as np
import pytest

from llmkit.data import encoding
from llmkit.data.columns import Column, Rows
from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.table import baseline

COLUMNS = [Column("x", "number"), Column("y", "number"), Column("c", "category")]


@pytest.fixture
def learnt():
    generator = np.random.default_rng(0)
    rows = Rows(generator.normal(5, 2, (200, 2)), generator.choice(["a", "b", "c"], (200, 1)).astype(object))
    truths = 100 + 3 * rows.numbers[:, 0] + 10 * (rows.categories[:, 0] == "b") + generator.normal(0, 0.1, 200)
    of = np.repeat([0, 1, 2], [120, 40, 40])
    made = encoding.learn(rows.take(of == 0), COLUMNS, "standard", [])
    return made, rows, truths, of, baseline.learn(made, rows, truths, of)


def test_it_is_penalised_least_squares(learnt):
    made, rows, truths, of, found = learnt
    numbers, categories = made.encode(rows.take(of == 0))
    one_hot = np.eye(made.table_size)[categories].sum(axis=1)
    wanted = truths[of == 0]
    columns = np.concatenate([numbers - numbers.mean(axis=0), one_hot], axis=1)
    gram = columns.T @ columns + baseline.PENALTY * 120 * np.eye(columns.shape[1])
    weights = np.linalg.solve(gram, columns.T @ (wanted - wanted.mean()))
    expected = columns @ weights + wanted.mean()
    np.testing.assert_allclose(found.linear(numbers, categories), expected, rtol=1e-5)


def test_its_metrics_and_those_of_the_constant(learnt):
    made, rows, truths, of, found = learnt
    test = of == 2
    measured = found.measure(made, rows.take(test), truths[test], 0.9)
    mean = truths[of == 0].mean()
    assert measured["constant"]["mae"] == pytest.approx(np.abs(truths[test] - mean).mean())
    assert measured["linear"]["rmse"] < 1 < measured["constant"]["rmse"]
    worst = np.sort(np.abs(truths[of == 1] - mean))[36]  # 41 · 0.9 = 36.9: the 37th of 40
    assert measured["constant"]["interval_width"] == pytest.approx(2 * worst, rel=1e-5)


def test_the_file_holds_all_of_it(learnt, tmp_path):
    encoding.save(learnt[0], tmp_path / encoding.FILE)
    (tmp_path / baseline.FILE).write_bytes(baseline.to_bytes(learnt[-1]))
    assert baseline.read(Files(tmp_path)) == learnt[-1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"table": []}, "it is of other columns"),
        ({"numbers": [1.0] * 9}, "it is of other columns"),
        ({"bias": "x"}, "Expected `float`, got `str`"),
        ({"linear_scores": None}, "Expected `object`, got `null`"),
        ({"linear_scores": {"values": [], "count": 3}}, "it has no scores"),
        ({"constant_scores": {"values": [1.0], "count": 0}}, "it has no scores"),
    ],
)
def test_baselines_that_are_damaged(tmp_path, change, says):
    rows = Rows(np.arange(20.0)[:, None], np.array([["a"], ["b"]] * 10, dtype=object))
    columns = [Column("n", "number"), Column("c", "category")]
    learnt = encoding.learn(rows, columns, "standard", [""])
    encoding.save(learnt, tmp_path / encoding.FILE)
    found = baseline.learn(learnt, rows, np.arange(20.0), np.array([0] * 15 + [1] * 5))
    (tmp_path / baseline.FILE).write_bytes(baseline.to_bytes(found))
    assert baseline.read(Files(tmp_path)) == found
    data = json.loads((tmp_path / baseline.FILE).read_text()) | change
    (tmp_path / baseline.FILE).write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"baseline.json is damaged: {says}"):
        baseline.read(Files(tmp_path))
