"""Small artifacts: an old one and a new one of the same name, written, read back and edited."""

import json
from pathlib import Path
from typing import Any

from llmkit.store import artifacts
from llmkit.store.artifacts import Artifact

OLD = {"weights.bin": b"old weights", "pictures/a.png": b"old picture", "removed.txt": b"only in the old one"}
NEW = {"weights.bin": b"new weights, longer", "pictures/a.png": b"new picture"}


def write(path: Path, content: dict[str, bytes], **manifest: Any) -> Artifact:
    """Write an artifact of these files; `manifest`: other arguments of `finish`."""
    with artifacts.building(path) as folder:
        for name, data in content.items():
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_bytes(data)
        return folder.finish(**{"stage": "train", "settings": {"steps": 3}} | manifest)


def content(path: Path) -> dict[str, bytes]:
    """What a reader finds: every file that the verified manifest lists."""
    files = artifacts.read(path, made_by="llmkit train x.yaml").manifest["files"]
    return {name: (path / name).read_bytes() for name in files}


def start(run: Path, state: str) -> None:
    """What a writer finds: the old folder, perhaps as an earlier crash left it."""
    write(run / "model", OLD)
    if state == "only NAME.old":
        (run / "model").rename(run / "model.old")
    if state == "a stray NAME.old":
        write(run / "stray", {"a": b"stray"})
        (run / "stray").rename(run / "model.old")


def edit(path: Path, **changes: Any) -> None:
    """Change a manifest; as nobody who edits one makes its checksum anew, take that out."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest.pop("manifest_sha256", None)
    for key, value in changes.items():
        manifest[key] = value
        if value is ...:
            del manifest[key]
    (path / "manifest.json").write_text(json.dumps(manifest))
