"""data/fetch.py with Debian packages: apt-get and dpkg-deb are stood in for, what they bring is not trusted."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from fetch_house import House, copying_house, fetch, tar_gz_of

ENGLISH = """<meta content="x"><h1 id="hd_id1"><a name="x"></a>Open <span class="MAC">Command
</span><span>Ctrl</span>+O </h1><p id="par_id2" class="paragraph">First<br>second.</p><p>no id</p><p id="par_id3">Only
here</p><p id="par_id2">again</p>"""
CHINESE = (
    """<h1 id="hd_id1">打开 <span class="MAC">Command</span><span>Ctrl</span>+O</h1><p id="par_id2">第一<b>二</b></p>"""
)
PAGES = {"usr/help/en-US/text/a.html": ENGLISH.encode(), "usr/help/zh-CN/text/a.html": CHINESE.encode()}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """With a tar for each Debian package in the index folder."""
    made = copying_house(tmp_path, monkeypatch)

    def run_tool(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        if command[0] == "apt-get":
            package, version = command[-1].split("=")
            file = f"{package}_{version.replace(':', '%3a')}_all.deb"
            if not (made.index / file).exists():
                return subprocess.CompletedProcess(command, 100, "", f"E: Version '{version}' was not found")
            shutil.copy(made.index / file, folder / file)
        else:
            with tarfile.open(fileobj=io.BytesIO(Path(command[2]).read_bytes())) as archive:
                archive.extractall(command[3], filter="data")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch, "run_tool", run_tool)
    return made


def add(house: House, files: dict[str, bytes], **changes: Any) -> None:
    data = tar_gz_of(files)
    (house.index / "pages_1%3a2_all.deb").write_bytes(data)
    package = {
        "package": "pages",
        "version": "1:2",
        "sha256": fetch.hashlib.sha256(data).hexdigest(),
        "inside": "usr/*",
    }
    house.sources["one"] = {
        "about": "made for a test",
        "licence": "none",
        "unpack": "help_to_pairs",
        "to": "help.csv",
        "files": 1,
        "debian": [package | changes],
    }
    house.write_sources()


def test_pages_become_pairs(house: House) -> None:
    add(house, PAGES)
    assert house.run("one") == 0
    assert house.contents("one")["help.csv"].decode() == "zh,en\n打开 Ctrl+O,Open Ctrl+O\n第一二,Firstsecond.\n"
    assert yaml.safe_load((house.into / "one" / "SOURCE.yaml").read_text())["debian"][0]["package"] == "pages"
    assert house.run("one") == 0 and house.left() == ["one"]  # up to date


def test_signs_of_shortcuts_go() -> None:
    texts = ["_File", "文件(_F)", "文件 (~F)", "Save ~As...", "a_b", "C:_", "snake _case _two"]
    found = ["File", "文件", "文件", "Save As...", "ab", "C:_", "snake case _two"]
    assert [fetch.without_shortcut(text) for text in texts] == found


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "has not the SHA-256 that sources.yaml pins (000000000000…) and was not unpacked"),
        ({"version": "1:3"}, "apt-get could not download pages=1:3; run apt-get update"),
        ({"inside": "opt/*"}, "pages_1%3a2_all.deb holds no opt/*"),
    ],
)
def test_what_is_not_as_pinned(
    house: House, capsys: pytest.CaptureFixture[str], changes: dict[str, str], says: str
) -> None:
    add(house, PAGES, **changes)
    assert house.run("one") == 3 and says in capsys.readouterr().err and house.left() == []


def test_a_key_of_a_package_that_is_not_known(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    add(house, PAGES, colour="red")
    assert house.run("one") == 2 and "colour" in capsys.readouterr().err


def test_a_machine_without_debians_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house = copying_house(tmp_path, monkeypatch)
    add(house, PAGES)
    monkeypatch.setenv("PATH", "")
    assert house.run("one") == 3 and "apt-get is not installed" in capsys.readouterr().err
