"""What a file is, by its name in any capitals, packed or not, and by the names in an archive."""

import zipfile

import pytest

from llmkit.data.file_kinds import format_at_use, format_of, holds_rows, inner_formats


@pytest.mark.parametrize(
    ("name", "format"),
    [
        *[("a.csv", "csv"), ("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.csv.GZ", "csv"), ("A.JSONL.Gz", "jsonl")],
        *[("a.tab", "tsv"), ("a.ndjson", "jsonl"), ("a.txt", "text"), ("csv", "text"), ("a.csv.txt", "text")],
    ],
)
def test_by_the_ending(name, format):
    assert format_of(name) == format


@pytest.fixture
def archive(tmp_path):
    def make(*names):
        path = tmp_path / "Q.ZIP"
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, "a,b\n1,2\n")
        return path

    return make


def test_an_archive_is_what_is_in_it(archive):
    assert inner_formats(archive("Rows.CSV", "__MACOSX/x.txt", ".hidden.txt", "folder/")) == {"csv"}
    assert holds_rows(archive("a.txt", "b.jsonl"))
    assert not holds_rows(archive("a.txt"))


def test_what_is_no_archive_is_text(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    assert inner_formats(tmp_path / "a.zip") == inner_formats(tmp_path / "none.zip") == {"text"}


def test_the_format_of_the_config_holds_where_the_ending_tells_nothing(tmp_path):
    assert holds_rows(tmp_path / "a.dat", "csv") and not holds_rows(tmp_path / "a.csv", "folders")
    assert format_at_use(tmp_path / "a.dat", "csv") == "csv"
    assert format_at_use(tmp_path / "a.JSONL", "csv") == "auto"
