"""What lies in the folders of a run: hashes, a snapshot to compare with, whether anything half-built is left."""

import shutil
from pathlib import Path
from typing import Any

from llmkit.store import artifacts


def file_hashes(folder: Path) -> dict[str, Any]:
    """The hashes of an artifact's files; without the one that names the folder."""
    return {name: entry for name, entry in artifacts.read(folder).manifest["files"].items() if name != "config.yaml"}


def snapshot(folder: Path) -> dict[str, Any]:
    """Every file and folder below: content and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def nothing_half_built(run_dir: Path) -> bool:
    """No folder half-built, no old one left."""
    return not [path for path in run_dir.rglob("*") if "building" in path.name or path.name.endswith((".old", ".tmp"))]


def take_model_away(run: Any) -> None:
    """Back to where only the data is prepared."""
    for name in ("model", "compressed", "work"):
        shutil.rmtree(run.run_dir / name)
