"""Files of rows: values, places and what is read where the name does not tell."""

import gzip
import io

import pytest

from llmkit.data.rows import read_rows, rows_of_files
from llmkit.errors import InputError


def rows(data: bytes, name: str = "a.csv", **how: str) -> list[tuple[str, dict]]:
    return list(read_rows(io.BytesIO(data), name, **how))


def test_rows_carry_their_places_and_columns():
    assert rows(b'a,b\n1,"x\ny"\n\n2,z\n') == [
        ("a.csv, line 3", {"a": "1", "b": "x\ny"}),
        ("a.csv, line 5", {"a": "2", "b": "z"}),
    ]
    assert rows(b'a\tb\n1\t"x\n', "a.tsv") == [("a.tsv, line 2", {"a": "1", "b": '"x'})]
    assert rows(b'\n{"a": 1, "b": null}\n', "a.jsonl") == [("a.jsonl, line 2", {"a": 1, "b": None})]
    assert rows(gzip.compress(b"a\n1\n"), "a.csv.gz") == [("a.csv.gz, line 2", {"a": "1"})]


def test_semicolons_separate_where_the_head_has_no_comma():
    assert [row for _, row in rows(b'a;b\n1;"x;y"\n2,5;z\n')] == [{"a": "1", "b": "x;y"}, {"a": "2,5", "b": "z"}]
    assert [row for _, row in rows(b"a;b,c\n1,2\n")] == [{"a;b": "1", "c": "2"}]


def test_rows_of_several_files_follow_each_other(tmp_path):
    (tmp_path / "b.csv").write_bytes("a\né\n".encode("latin-1"))
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 2}\n{"c": 3}\n')
    paths = [tmp_path / "b.csv", tmp_path / "a.jsonl"]
    assert list(rows_of_files(paths, encoding="latin-1")) == [
        (f"{paths[0]}, line 2", {"a": "é"}),
        (f"{paths[1]}, line 1", {"a": 2}),
        (f"{paths[1]}, line 2", {"c": 3}),
    ]
    assert [row for _, row in rows_of_files(paths[1:], format="csv")] == [{'{"a": 2}': '{"c": 3}'}]
    with pytest.raises(InputError, match=r"gone\.csv cannot be read"):
        list(rows_of_files([*paths, tmp_path / "gone.csv"], encoding="latin-1"))


@pytest.mark.parametrize("data", [b'{"a": "1", "b": "2"}\n', b"a\tb\n1\t2\n", b"a,b\n1,2\n"])
def test_the_first_line_tells_the_format_where_the_name_does_not(data):
    [(_, row)] = rows(data, "standard-input.txt")
    assert row == {"a": "1", "b": "2"}


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"a\.csv, line 1: two columns are called 'x'"):
        rows(b"x,y,x\n1,2,3\n")


@pytest.mark.parametrize(
    "data",
    [
        b"a|b\n1|2\n",
        b"a;b\n1;2\n",
        b"sep=;\na;b\n1;2\n",
        b"SEP=|\r\na|b\r\n1|2\r\n",
        b"a\tb\n1\t2\n",
        b"sep=,\na,b\n1,2\n",
    ],
)
def test_the_head_tells_what_parts_the_columns(data):
    [(place, row)] = rows(data)
    assert row == {"a": "1", "b": "2"} and place == f"a.csv, line {data.count(10)}"


def test_a_delimiter_by_wish():
    [(_, row)] = read_rows(io.BytesIO(b"a,x~b\n1~2\n"), "a.csv", delimiter="~")
    assert row == {"a,x": "1", "b": "2"}


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b'[{"a": 1}]', "a.json", "a.json is a JSON array; write an object a line"),
        (b'[\n{"a": 1}]', "a.jsonl", "a.jsonl is a JSON array; write an object a line"),
        (
            b"Sales of 2024\na,b\n1,2\n",
            "a.csv",
            "line 2: 2 columns where the header has 1; the first line must be the head",
        ),
        (b"# made by x\na,b\n", "a.csv", "line 2: 2 columns where the header has 1; comments are not skipped"),
        (
            b"a,b\n1,2,3\n",
            "a.csv",
            "line 2: 3 columns where the header has 2; put text that holds the separator in quo",
        ),
    ],
)
def test_what_a_file_looks_like_is_said(data, name, message):
    with pytest.raises(InputError, match=message):
        list(read_rows(io.BytesIO(data), name))


@pytest.mark.parametrize("levels", [51, 100_000])
def test_a_row_nested_deep_is_refused_with_its_line(levels):
    line = '{"a": ' + "[" * levels + "]" * levels + "}\n"
    with pytest.raises(InputError, match="^r.jsonl, line 2: no valid JSON .(nested more than 50|maximum recursion)"):
        list(read_rows(io.BytesIO(('{"a": 1}\n' + line).encode()), "r.jsonl"))


def test_blanks_around_the_names_of_columns_are_none_of_them():
    assert rows(b"a, b ,c\n1,2,3\n") == [("a.csv, line 2", {"a": "1", "b": "2", "c": "3"})]
    with pytest.raises(InputError, match="two columns are called 'a'"):
        rows(b"a, a\n1,2\n")
