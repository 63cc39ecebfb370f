"""Cross-validation of a text classifier: the prepared data of a fold."""

from pathlib import Path

import numpy as np

from llmkit.data import prepared_folder
from llmkit.predicting.evaluate import FOLD_METRICS as METRICS
from llmkit.store.files import Files
from llmkit.tasks.classify import labelled, prepare
from llmkit.tasks.classify.settings import Prepare

__all__ = ["METRICS", "fold"]


def fold(prepared: Files, out: Path, number: int, count: int, settings: Prepare, seed: int) -> None:
    """The prepared folder of a fold: another split, and what is learnt from it."""
    of = prepared_folder.copy_for_fold(prepared, out, number, count, settings.split.val, seed)
    train = np.flatnonzero(of == 0)
    texts, labels = labelled.read(prepared), prepared.array("labels.npy")[train]
    classes = len(prepared_folder.read_meta(prepared)["labels"])
    prepare.learn([texts[k] for k in train], labels, classes, settings, out, lambda *progress: None)
