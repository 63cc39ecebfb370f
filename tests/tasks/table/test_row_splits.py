"""Rows split by groups, by time, and copies kept together, through the command line."""

import json

import numpy as np
import pytest

from llmkit.data import prepared_folder
from llmkit.store.files import Files


@pytest.fixture
def prepare(tmp_path, llmkit):
    """Prepares rows with a split; returns the command's end and the split of each row."""

    def run(head, lines, split, *more):
        (tmp_path / "rows.csv").write_text("\n".join([head, *lines]) + "\n")
        config = tmp_path / "rows.yaml"
        config.write_text(
            f"task: table\nrun_dir: {tmp_path / 'run'}\nprepare: {{files: {tmp_path / 'rows.csv'}, label: y, "
            f"split: {json.dumps({'val': 0.2, 'test': 0.2} | split)}}}\n"
        )
        ran = llmkit("prepare", config, "--json", *more)
        place = tmp_path / "run" / "prepared"
        return ran, np.load(place / "split.npy") if ran.code == 0 else None, Files(place)

    return run


def labelled(count, copies=1):
    """Rows with a number of their own and a label by chance, each so many times."""
    generator = np.random.default_rng(0)
    rows = [f"{generator.normal():.6f},{generator.choice(['a', 'b'])}" for _ in range(count)]
    return [row for row in rows for _ in range(copies)]


def test_copies_are_told_and_kept_together(prepare):
    rows = labelled(100, copies=6)
    ran, _, _ = prepare("x,y", rows, {})
    assert "rows that validate and test are copies of training rows" in ran.err
    ran, of, prepared = prepare("x,y", rows, {"unique": True}, "--force")
    assert ran.err == "" and set(np.ptp(of.reshape(100, 6), axis=1)) == {0} and set(of) == {0, 1, 2}
    fold = prepared_folder.copy_for_fold(prepared, prepared.path.parent, 1, 3, 0.2, 1)
    assert set(np.ptp(fold.reshape(100, 6), axis=1)) == {0}


def test_rows_of_few_categories_are_no_copies(prepare):
    ran, _, _ = prepare("x,y", ["red,a", "blue,b"] * 30, {})
    assert "copies" not in ran.err


def test_a_group_stays_in_one_split_and_is_no_input(prepare):
    rows = [f"s{number % 12},{row}" for number, row in enumerate(labelled(240))]
    ran, of, prepared = prepare("school,x,y", rows, {"group": "school"})
    assert list(ran.json["columns"]) == ["x"]
    assert all(len(set(of[school::12])) == 1 for school in range(12)) and set(of) == {0, 1, 2}
    assert len(np.unique(prepared.array("groups.npy"))) == 12


def test_the_latest_rows_are_tested(prepare):
    order = np.random.default_rng(0).permutation(50)
    rows = [
        f"{number % 28 + 1:02}.{1 + number // 28:02}.2024,{row}"
        for number, row in zip(order, labelled(50), strict=True)
    ]
    ran, of, _ = prepare("day,x,y", rows, {"time": "day"})
    assert ran.json["columns"]["day"] == "date (day first)"
    assert [sorted(order[of == split].tolist())[0] for split in range(3)] == [0, 30, 40]


@pytest.mark.parametrize(
    ("split", "rows", "code", "message"),
    [
        ({"time": "z", "group": "x"}, ["1,a"], 2, "group and time are given; one of unique, group and time decides"),
        ({"group": "z"}, ["1,a"], 3, "there is no column 'z' (prepare.split.group); there are: x, y"),
        ({"time": "x"}, [",a", "1,b"], 3, "line 2: the column 'x' (prepare.split.time) has no value; mend it"),
        (
            {"time": "x"},
            ["soon,a", "later,b", "never,b"],
            3,
            "(prepare.split.time) holds neither numbers nor dates that are all",
        ),
    ],
)
def test_mistakes(prepare, split, rows, code, message):
    ran, _, _ = prepare("x,y", [*rows, "2,a", "3,b"], split)
    assert ran.code == code and message in " ".join(ran.json["error"]["message"].split())


def test_a_column_that_counts_the_rows_is_told(prepare):
    rows = [f"{number},{row}" for number, row in enumerate(sorted(labelled(60), key=lambda row: row[-1]))]
    ran, _, _ = prepare("row,x,y", rows, {})
    assert "the column 'row' counts the rows ('0', '1', '2', …): if it only says where a row stands" in ran.err
