"""Cross-validation of a classifier of pictures: the prepared data of a fold."""

from pathlib import Path

from llmkit.data import prepared_folder
from llmkit.predicting.evaluate import FOLD_METRICS as METRICS
from llmkit.store.files import Files
from llmkit.tasks.vision import pixels, prepare
from llmkit.tasks.vision.settings import Prepare

__all__ = ["METRICS", "fold"]


def fold(prepared: Files, out: Path, number: int, count: int, settings: Prepare, seed: int) -> None:
    """The prepared folder of a fold: another split, and what is learnt from it."""
    of = prepared_folder.copy_for_fold(prepared, out, number, count, settings.split.val, seed)
    labels = len(prepared_folder.read_meta(prepared)["labels"])
    pictures = prepared.array(prepare.PICTURES, mapped=True)
    prepare.learn(pictures, prepared.array("labels.npy"), of, labels, pixels.read(prepared).bits, out)
