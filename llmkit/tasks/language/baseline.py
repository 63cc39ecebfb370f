"""The n-gram model of a run: what any trained model has to beat, and what `train.ngram` mixes with it.

In: RUN_DIR/prepared. Out: RUN_DIR/work/ngram (ngram.safetensors, and the loss on the validation split in its
manifest), built once for a prepared folder and read by `train`, `tune` and `evaluate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import llmkit
from llmkit.data.prepared_folder import read_meta
from llmkit.errors import InputError
from llmkit.store import artifacts
from llmkit.tasks.language import mixing, ngram

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Baseline:
    """An n-gram model and its loss on the validation split, in nats per token."""

    model: ngram.NGram
    val_loss: float

    def figures(self, loss: float | None = None) -> dict[str, Any]:
        """What `train` and `evaluate` report of it; `loss` where it is not that of the validation split."""
        return {"ngram_loss": self.val_loss if loss is None else loss, "ngram_order": self.model.order}


def of_run(prepared: Path, progress: Progress) -> Baseline:
    """The n-gram model of RUN_DIR/prepared, from RUN_DIR/work/ngram, where it is built if need be."""
    place = prepared.parent / "work" / "ngram"
    parents = {"prepared": artifacts.read(prepared, verify=False).hash}
    tokenizer = artifacts.fingerprint(prepared / "tokenizer.json")["sha256"]
    found = _read(place, tokenizer)
    if found and found.manifest["parents"] == parents:
        return _open(found)
    train, val = (np.load(prepared / f"{name}.npy", mmap_mode="r") for name in ("train", "val"))
    model, loss = ngram.build(
        train,
        val,
        read_meta(prepared)["vocab_size"],
        report=lambda done, total: progress("counting n-grams", done, total),
    )
    with artifacts.building(place) as folder:
        ngram.save(model.arrays, folder.path / mixing.FILE)
        artifact = folder.finish(
            stage="ngram",
            task="language",
            settings={"tokenizer": tokenizer},
            parents=parents,
            result={"val_loss": loss, "order": model.order, "tokens": min(len(train), ngram.MAX_TOKENS)},
        )
    return _open(artifact)


def kept(run_dir: Path, tokenizer: Path) -> Baseline | None:
    """The n-gram model that a run has kept, if its vocabulary is that of the tokenizer's file."""
    found = _read(run_dir / "work" / "ngram", artifacts.fingerprint(tokenizer)["sha256"])
    return _open(found) if found else None


def warning(loss: float, figures: dict[str, Any]) -> list[str]:
    """A line where a model's loss is not better than the n-gram model's."""
    if loss < figures["ngram_loss"]:
        return []
    return [
        f"the model's loss {loss:.4f} is not better than that of a {figures['ngram_order']}-gram model counted in "
        f"seconds ({figures['ngram_loss']:.4f}): train longer, or mix the two with train.ngram=true"
    ]


def _read(place: Path, tokenizer: str) -> artifacts.Artifact | None:
    """The folder, if it is sound, of this version and of this vocabulary."""
    try:
        found = artifacts.read(place, stage="ngram")
    except InputError:
        return None
    manifest = found.manifest
    fits = manifest["llmkit_version"] == llmkit.__version__ and manifest["settings"] == {"tokenizer": tokenizer}
    return found if fits else None


def _open(artifact: artifacts.Artifact) -> Baseline:
    return Baseline(ngram.load(artifact.path / mixing.FILE), artifact.manifest["result"]["val_loss"])
