"""The n-gram model of a run: what any trained model has to beat, and what `train.ngram` mixes with it.

In: a prepared folder. Out: RUN_DIR/work/ngram (ngram.safetensors, and the loss on the validation split in its
manifest), built once for a prepared folder and read by `train`, `tune` and `evaluate`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from llmkit.console.callbacks import Progress
from llmkit.data import tokenizer as tokenizers
from llmkit.data.prepared_folder import read_meta
from llmkit.errors import InputError
from llmkit.store import artifacts, new_files
from llmkit.store.files import Files
from llmkit.tasks.language import mixing, ngram
from llmkit.version import __version__


@dataclass(frozen=True)
class Baseline:
    """An n-gram model and its loss on the validation split, in nats per token."""

    model: ngram.NGram
    val_loss: float

    def metrics(self, loss: float | None = None) -> dict[str, float]:
        """What `train` and `evaluate` report of it; `loss` where it is not that of the validation split."""
        return {"ngram_loss": self.val_loss if loss is None else loss, "ngram_order": self.model.order}


def of_run(prepared: Files, work: Path, progress: Progress, least_count: int | None = None) -> Baseline:
    """The n-gram model of a prepared folder, kept in `work` (RUN_DIR/work), where it is built if need be.

    `least_count`: without what stands in the training split fewer times.
    """
    place = work / "ngram"
    parents = {"prepared": artifacts.read(prepared.path, verify=False).hash}
    settings = {"tokenizer": _hash(prepared)} | ({"least_count": least_count} if least_count else {})
    found = _read(place, _hash(prepared))
    if found and found.manifest["parents"] == parents and found.manifest["settings"] == settings:
        return _open(found)
    train, val = (prepared.array(f"{name}.npy", mapped=True) for name in ("train", "val"))
    model, loss = ngram.build(
        train,
        val,
        read_meta(prepared)["vocab_size"],
        report=lambda done, total: progress("counting n-grams", done, total),
        least_count=least_count or 1,
    )
    with artifacts.building(place) as folder:
        new_files.write_bytes(folder.path / mixing.FILE, ngram.to_bytes(model.arrays))
        artifact = folder.finish(
            stage="ngram",
            task="language",
            settings=settings,
            parents=parents,
            result={"val_loss": loss, "order": model.order, "tokens": min(len(train), ngram.MAX_TOKENS)},
        )
    return _open(artifact)


def kept(work: Path, folder: Files) -> Baseline | None:
    """The n-gram model that a run has kept in `work`, if its vocabulary is that of a model folder."""
    found = _read(work / "ngram", _hash(folder))
    return _open(found) if found else None


def warning(loss: float, metrics: dict[str, float]) -> list[str]:
    """A line where a model's loss is not better than the n-gram model's."""
    if loss < metrics["ngram_loss"]:
        return []
    return [
        f"the model's loss {loss:.4f} is not better than that of a {metrics['ngram_order']}-gram model counted in "
        f"seconds ({metrics['ngram_loss']:.4f}): train longer, or mix the two with train.ngram=true"
    ]


def _read(place: Path, tokenizer: str) -> artifacts.Artifact | None:
    """The folder, if it is sound, of this version and of this vocabulary."""
    try:
        found = artifacts.read(place, stage="ngram")
    except InputError:
        return None
    manifest = found.manifest
    fits = manifest["llmkit_version"] == __version__ and manifest["settings"].get("tokenizer") == tokenizer
    return found if fits else None


def _open(artifact: artifacts.Artifact) -> Baseline:
    return Baseline(ngram.NGram(artifact.tensors(mixing.FILE)), artifact.manifest["result"]["val_loss"])


def _hash(folder: Files) -> str:
    return hashlib.sha256(folder.read_bytes(tokenizers.FILE)).hexdigest()
