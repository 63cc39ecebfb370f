"""Checkpoints of a running training: everything it needs to go on, in complete-or-absent folders.

FOLDER/checkpoint-00001200/   weights.safetensors  best.safetensors  state.safetensors  state.json  manifest.json
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from llmkit import artifacts
from llmkit.errors import InputError

if TYPE_CHECKING:
    from llmkit.training.loop import Learner


@dataclass(frozen=True)
class Found:
    """A checkpoint that verifies: its folder and its plain data."""

    path: Path
    plain: dict[str, Any]


def write(
    folder: Path, progress: dict[str, Any], learner: "Learner", best: dict[str, Tensor], fingerprint: dict, keep: int
) -> None:
    """Write the checkpoint of `progress["step"]` and drop all but the last `keep`."""
    tensors, plain = learner.state()
    with artifacts.building(folder / f"checkpoint-{progress['step']:08d}") as building:
        save_file(_on_cpu(learner.weights()), building.path / "weights.safetensors")
        save_file(_on_cpu(best), building.path / "best.safetensors")
        save_file(_on_cpu(tensors | _random_state()), building.path / "state.safetensors")
        artifacts.write_json(building.path / "state.json", {"progress": progress, "learner": plain})
        building.finish(stage="checkpoint", task="", settings=fingerprint, seed=0, versions={}, parents={}, result={})
    for old in _folders(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path, fingerprint: dict[str, Any], warn: Callable[[str], None]) -> Found | None:
    """The newest checkpoint that verifies, or None; a damaged one is skipped with a warning.

    Raises InputError with the differences when it was written by a run of other settings or data.
    """
    for path in reversed(_folders(folder)):
        try:
            artifact = artifacts.read(path, made_by="the interrupted run", stage="checkpoint")
            plain = artifacts.read_json(path / "state.json")
        except InputError as error:
            warn(f"skipping a damaged checkpoint: {error}")
            continue
        changed = artifacts.differences(artifact.manifest["settings"], fingerprint)
        if changed:
            raise InputError(
                f"{folder} holds an interrupted run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nset them back to go on, or start anew with --fresh"
            )
        return Found(path, plain)
    return None


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    return max((int(path.name.split("-")[1]) for path in _folders(folder)), default=0)


def restore(found: Found, learner: "Learner") -> dict[str, Tensor]:
    """Put learner and random states back; returns the best weights so far."""
    learner.load_weights(load_file(found.path / "weights.safetensors"))
    tensors = load_file(found.path / "state.safetensors")
    torch.set_rng_state(tensors.pop("random.cpu"))
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors.pop("random.cuda"))
    learner.load_state(tensors, found.plain["learner"])
    return load_file(found.path / "best.safetensors")


def drop(folder: Path) -> None:
    """Remove every checkpoint: the run has ended, or `--fresh` gives it up. What is there belongs to a run to go on."""
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)


def _folders(folder: Path) -> list[Path]:
    names = {path.name.removesuffix(".old") for path in folder.glob("checkpoint-*")}
    return [folder / name for name in sorted(names)]


def _random_state() -> dict[str, Tensor]:
    state = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
