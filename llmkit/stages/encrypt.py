"""`llmkit encrypt`: what lies below a folder, encrypted to other recipients, or for the first time. Nothing is trained.

In: RUN_DIR or a model folder, plain or encrypted to a key at hand. Out: the same in its place or, of one finished
folder, elsewhere. Each finished folder is replaced whole and keeps the hash under which later stages know it; a crash
leaves some folders as they were, and the same command goes on.
"""

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import artifacts, encryption
from llmkit.store.files import read_live
from llmkit.store.manifests import MANIFEST

LEFT_ALONE = re.compile(r"\.lock|.+\.lock|\..+\.tmp")  # no data, or half of what a crash left of a file
BUILDING = re.compile(r"\..+\.building-\d+-[0-9a-f]{8}")  # what a dead writer left: the next one sweeps it


def encrypt(
    place: Path, recipients: Sequence[str], *, out: Path | None = None, dry_run: bool = False, ui: Console | None = None
) -> Json:
    """Encrypt all files below `place` to the recipients, in place or (a finished folder) into the new `out`.

    Returns how many finished folders and other files that were. Raises ConfigError where no recipient is given and
    InputError where nothing is there, it is damaged, in use, or encrypted to none of the identities at hand.
    """
    ui = ui or Console(0)
    if not recipients:
        raise ConfigError("encrypt: name at least one --recipient age1…; llmkit init --new-key FILE makes a key")
    wanted = tuple(sorted(set(recipients)))
    if not place.is_dir():
        raise InputError(f"{place} is no folder; name a RUN_DIR or a model folder")
    if out is not None:
        return _one(place, out, wanted, dry_run)
    folders, files = _below(place)
    if not folders and not files:
        raise InputError(f"{place} holds nothing to encrypt")
    found = {"stage": "encrypt", "folder": str(place), "folders": len(folders), "files": len(files)}
    if dry_run:
        return found | {"dry_run": True, "would_run": [f"for {', '.join(wanted)}"]}
    with nullcontext() if place in folders else artifacts.lock(place, "llmkit encrypt"):
        _all(folders, files, wanted, ui)
    return found | {"recipients": list(wanted)}


def _one(place: Path, out: Path, recipients: tuple[str, ...], dry_run: bool) -> Json:
    if not (place / MANIFEST).exists():
        raise ConfigError(f"--out goes with one finished folder, such as RUN_DIR/model; {place} has no {MANIFEST}")
    if os.path.lexists(out):
        raise InputError(f"{out} exists already; name a new folder")
    found = {"stage": "encrypt", "folder": str(out), "folders": 1, "files": 0}
    if dry_run:
        return found | {"dry_run": True, "would_run": [f"for {', '.join(recipients)}"]}
    _folder(place, out, recipients)
    return found | {"recipients": list(recipients)}


def _all(folders: list[Path], files: list[Path], recipients: tuple[str, ...], ui: Console) -> None:
    for number, folder in enumerate(folders):
        ui.progress("encrypting", number, len(folders) + len(files))
        _folder(folder, folder, recipients)
    for number, file in enumerate(files):
        ui.progress("encrypting", len(folders) + number, len(folders) + len(files))
        with artifacts.writing(file, everything=True):
            artifacts.write_sealed(file, encryption.encrypt(read_live(file), recipients))
    ui.close()


def _folder(place: Path, out: Path, recipients: tuple[str, ...]) -> None:
    """A finished folder, its files decrypted in memory one after the other and written anew."""
    artifact = artifacts.read(place)
    if out == place and set(artifact.manifest.get("encryption", ())) == set(recipients):
        return  # of this command, before it was interrupted
    if artifact.manifest.get("encryption") and not artifact.manifest["result"]:
        artifact.read_bytes(next(iter(artifact.manifest["files"])))  # raises NoKey where there is no key
    with artifacts.building(out) as folder:
        for name in artifact.manifest["files"]:
            (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.path / name).write_bytes(encryption.encrypt(artifact.read_bytes(name), recipients))
        folder.finish_as(artifact, recipients)


def _below(place: Path) -> tuple[list[Path], list[Path]]:
    """(finished folders, other files that hold data) below a folder."""
    folders, files = [], []
    for parent, inner, names in os.walk(place):
        inner[:] = sorted(name for name in inner if not BUILDING.fullmatch(name))
        if MANIFEST in names:
            folders.append(Path(parent))
            inner.clear()
            continue
        files += [Path(parent, name) for name in sorted(names) if not LEFT_ALONE.fullmatch(name)]
    return folders, files
