"""Checkpoints of a running training: everything it needs to go on, in complete-or-absent folders.

FOLDER/checkpoint-00001200/   weights.safetensors  best.safetensors  state.safetensors  state.json
                              metrics.jsonl  manifest.json
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from safetensors.torch import load, save, save_file
from torch import Tensor

from llmkit.console.callbacks import Warn
from llmkit.errors import InputError, LaterVersion, NoKey
from llmkit.plain import Json
from llmkit.store import artifacts, encryption, manifests, new_files
from llmkit.store.files import Files
from llmkit.training import metrics_file
from llmkit.training.distributed import ALONE, Processes

if TYPE_CHECKING:
    from llmkit.training.learner import Learner


class State(TypedDict):
    """state.json: the loop's `Progress` and what the learner's `state` returned beside tensors."""

    progress: Json
    learner: Json


@dataclass(frozen=True)
class Found:
    """A checkpoint that verifies: its files, its step and its plain data."""

    files: Files
    step: int
    plain: State


def write(
    folder: Path,
    progress: Json,
    learner: "Learner",
    best: dict[str, Tensor],
    fingerprint: Mapping[str, object],
    keep: int,
    processes: Processes = ALONE,
) -> None:
    """Write the checkpoint of `progress["step"]` and drop all but the last `keep` up to it.

    Those of later steps were damaged when the run went on from an earlier one. They count for nothing, or a new one
    would be dropped in favour of one that nobody can read; each stays until the run comes to its step or ends.
    Of several processes each brings its part of the state, and process 0 writes.
    """
    tensors, plain = learner.state()
    tensors |= _random_state(processes)
    if not processes.leads:
        return
    with artifacts.building(_place(folder, progress["step"])) as building:
        for name, held in (("weights", learner.weights()), ("best", best), ("state", tensors)):
            _save(building.path / f"{name}.safetensors", _on_cpu(held))
        artifacts.write_json(building.path / "state.json", {"progress": progress, "learner": plain})
        shutil.copyfile(folder / metrics_file.NAME, building.path / metrics_file.NAME)
        building.finish(stage="checkpoint", task="", settings=fingerprint, seed=0, versions={}, parents={}, result={})
    for step in [step for step in _steps(folder) if step <= progress["step"]][:-keep]:
        artifacts.discard(_place(folder, step))


def newest(folder: Path, fingerprint: Mapping[str, object], warn: Warn, processes: Processes = ALONE) -> Found | None:
    """The newest checkpoint that verifies, or None; a damaged one is skipped with a warning.

    Where none verifies, the run starts from the beginning, with a warning of its own: a run that nobody watches
    should come to its end, and what is there stays to be repaired. Raises InputError with the differences when it was
    written by a run of other settings or data, LaterVersion when by an llmkit to come. Of several processes process 0
    looks, and the others read what it found.
    """
    found = _newest(folder, fingerprint, warn) if processes.leads else None
    if processes.count > 1:
        [step] = processes.sum(found.step if found else 0)
        if step and not found:
            files = Files(_place(folder, int(step)))
            found = Found(files, int(step), files.read_json("state.json"))
    return found


def _newest(folder: Path, fingerprint: Mapping[str, object], warn: Warn) -> Found | None:
    for step in reversed(_steps(folder)):
        path = _place(folder, step)
        try:
            artifact = artifacts.read(path, stage="checkpoint")
            plain = artifact.read_json("state.json")
        except (LaterVersion, NoKey):
            raise
        except InputError as error:
            warn(f"skipping a damaged checkpoint: {str(error).partition('; ')[0]}")
            continue
        changed = manifests.differences(artifact.manifest["settings"], fingerprint)
        if changed:
            raise InputError(
                f"{folder} holds an interrupted run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nset them back to go on, or start anew with --fresh"
            )
        return Found(artifact, step, plain)
    if _steps(folder):
        warn(
            f"no checkpoint in {folder} is whole: training starts from the beginning; if you have a sound copy of one, "
            "stop now, put it back and start again"
        )
    return None


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    return max(_steps(folder), default=0)


def ended(folder: Path) -> Json:
    """The fingerprint of a run there that came to its end and lacked nothing but its model folder, else {}."""
    try:
        artifact = artifacts.read(_place(folder, newest_step(folder)), stage="checkpoint")
        progress = artifact.read_json("state.json")["progress"]
    except NoKey:
        raise
    except InputError:
        return {}
    return artifact.manifest["settings"] if progress.get("ended") else {}


def restore(found: Found, learner: "Learner", processes: Processes = ALONE) -> dict[str, Tensor]:
    """Put learner and this process's random states back; returns the best weights so far."""
    learner.load_weights(load(found.files.read_bytes("weights.safetensors")))
    tensors = load(found.files.read_bytes("state.safetensors"))
    own = _suffix(processes.rank)
    torch.set_rng_state(tensors[f"random.cpu{own}"])
    if f"random.cuda{own}" in tensors:
        torch.cuda.set_rng_state(tensors[f"random.cuda{own}"])
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("random.")}
    learner.load_state(tensors, found.plain["learner"])
    return load(found.files.read_bytes("best.safetensors"))


def drop(folder: Path) -> None:
    """Remove every checkpoint, the newest last: the run has ended, or `--fresh` gives it up."""
    for step in _steps(folder):
        artifacts.discard(_place(folder, step))
    for path in folder.glob("checkpoint-*"):  # damaged ones that were moved out of the way
        shutil.rmtree(path, ignore_errors=True)


def _place(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step:08d}"


def _steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, be it one that a crash left as NAME.old."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted({int(found[1]) for name in names if (found := re.fullmatch(r"checkpoint-(\d{8,})(\.old)?", name))})


def _random_state(processes: Processes) -> dict[str, Tensor]:
    """Of every process: random.cpu, random.cpu.1, … and, with CUDA, random.cuda, random.cuda.1, …"""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return {
        name + _suffix(rank): state for name, own in states.items() for rank, state in enumerate(processes.gather(own))
    }


def _suffix(rank: int) -> str:
    return f".{rank}" if rank else ""


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    if encryption.recipients_of(path):
        new_files.write_bytes(path, save(tensors))
    else:
        save_file(tensors, path)  # without a second copy in memory


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
