"""Cross-validation of a text classifier: the prepared data of a fold."""

from pathlib import Path

from llmkit.data import prepared_folder
from llmkit.predicting.evaluate import FOLD_METRICS as METRICS
from llmkit.store.files import Files
from llmkit.tasks.classify import prepare
from llmkit.tasks.classify.settings import Prepare

__all__ = ["METRICS", "fold"]


def fold(prepared: Files, out: Path, number: int, count: int, settings: Prepare, seed: int) -> None:
    """The prepared folder of a fold: another split, and what is learnt from it."""
    of = prepared_folder.copy_for_fold(prepared, out, number, count, settings.split.val, seed)
    texts = [text for text, part in zip(prepare.read(prepared), of, strict=True) if part == 0]
    prepare.learn(texts, settings, out)
