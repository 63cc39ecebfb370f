"""Files to documents: every kind of file, packed or not, every way in which rows can be wrong."""

import gzip
import zipfile

import pytest

from llmkit.data import unpacking
from llmkit.data.documents import read_documents
from llmkit.data.files import open_file
from llmkit.errors import ConfigError, InputError


def documents(path, **how):
    with open_file(path) as file:
        return ["".join(pieces) for pieces in read_documents(file, str(path), **how)]


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


# --- text ---


def test_text_is_one_document_as_it_is(tmp_path):
    path = write(tmp_path / "a.md", "\ufeff# One\r\n\r\ntwo\rthree\n")
    assert documents(path) == ["# One\r\n\r\ntwo\rthree\n"]


def test_an_empty_file_has_no_text(tmp_path):
    assert documents(write(tmp_path / "a.txt", "")) == [""]
    assert documents(write(tmp_path / "a.csv", ""), field="text") == []


# --- CSV, TSV, JSON Lines ---


def test_csv_rows_are_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 5)
    data = '\ufeffid,text\r\n1,"a ""quoted"", b\r\nnext\u2028line"\r\n\r\n2,\r\n3,é'
    path = write(tmp_path / "a.csv", data)
    assert documents(path, field="text") == ['a "quoted", b\r\nnext\u2028line', "", "é"]
    assert documents(path, field="id") == ["1", "2", "3"]


def test_a_csv_field_longer_than_the_modules_limit(tmp_path):
    long = "x" * 200_000
    assert documents(write(tmp_path / "a.csv", f"text\n{long}\n"), field="text") == [long]


def test_quote_marks_in_tsv_are_text(tmp_path):
    path = write(tmp_path / "a.tsv", 'id\ttext\n1\t"Go, he said\n2\tb"\n')
    assert documents(path, field="text") == ['"Go, he said', 'b"']


def test_json_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a\\nb"}\n\n{"n": 1, "text": ""}\r\n{"text": "é"}')
    assert documents(path, field="text") == ["a\nb", "", "é"]


def test_format_overrides_the_ending(tmp_path):
    path = write(tmp_path / "a.txt", "text\nx\n")
    assert documents(path) == ["text\nx\n"]
    assert documents(path, format="csv", field="text") == ["x"]


@pytest.mark.parametrize(
    ("name", "data", "error", "words"),
    [
        (
            "a.csv",
            "id,text\n1,x\n",
            ConfigError,
            r"prepare\.field: say which column of .*a\.csv .*: id, text",
        ),
        (
            "a.csv",
            "id,body\n1,x\n",
            InputError,
            r"a\.csv, line 1: there is no column 'text' .* it has: id, body",
        ),
        ("a.csv", "id,text,text\n1,x,y\n", InputError, r"a\.csv, line 1: two columns are called 'text'"),
        ("a.jsonl", '{"text": "\\ud800"}\n', InputError, r"a\.jsonl, line 1: half of a surrogate pair"),
        ("a.csv", "id,text\n1,x\n2\n", InputError, r"a\.csv, line 3: 1 columns where the header has 2"),
        ("a.csv", "id,text\n1,a,b\n", InputError, r"a\.csv, line 2: 3 columns"),
        ("a.csv", 'id,text\n1,"x\n2,y\n', InputError, r"a\.csv, line 3: unexpected end of data"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', InputError, r"a\.jsonl, line 2: no valid JSON"),
        ("a.jsonl", '\n["x"]\n', InputError, r"a\.jsonl, line 2: a JSON object is needed, found list"),
        (
            "a.jsonl",
            '{"a": "x", "b": 1}\n',
            InputError,
            r"a\.jsonl, line 1: there is no field 'text' .*: a, b",
        ),
        (
            "a.jsonl",
            '{"text": null}\n',
            InputError,
            r"a\.jsonl, line 1: field 'text' is no text but NoneType",
        ),
    ],
)
def test_rows_that_cannot_be_read_name_file_and_line(tmp_path, name, data, error, words):
    field = None if error is ConfigError else "text"
    with pytest.raises(error, match=words):
        documents(write(tmp_path / name, data), field=field)


def test_json_lines_without_a_field_lists_them(tmp_path):
    with pytest.raises(ConfigError, match=r"prepare\.field: say which field .*: a, b"):
        documents(write(tmp_path / "a.jsonl", '{"a": "x", "b": 1}'))


# --- packed files ---


def test_gzip_of_every_kind(tmp_path):
    assert documents(write(tmp_path / "a.txt.gz", gzip.compress(b"one\n"))) == ["one\n"]
    assert documents(write(tmp_path / "a.csv.GZ", gzip.compress(b"t\nx\n")), field="t") == ["x"]


def test_zip_members_are_documents_or_tables(tmp_path):
    members = {
        "b/two.txt": "two",
        "a.txt": "one",
        "rows.jsonl": '{"t": "three"}\n{"t": "four"}\n',
        "rows.csv.gz": gzip.compress(b"t\nfive\n"),
        "__MACOSX/a.txt": "no",
        ".hidden": "no",
        "b/.DS_Store": b"\0",
        "../../evil.txt": "six",
        "/etc/evil.txt": "seven",
        "empty/": "",
    }
    path = zipped(tmp_path / "a.zip", members)
    # In the order of the names, which are never used as paths.
    assert documents(path, field="t") == ["six", "seven", "one", "two", "five", "three", "four"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]
