"""Cross-validation of a table's model: the prepared data of a fold."""

from pathlib import Path

from llmkit.data import encoding, prepared_folder
from llmkit.predicting.evaluate import FOLD_METRICS, NUMBER_FOLD_METRICS
from llmkit.store.files import Files
from llmkit.tasks.table import prepare, target
from llmkit.tasks.table.settings import Prepare

METRICS = (*FOLD_METRICS, *NUMBER_FOLD_METRICS)


def fold(prepared: Files, out: Path, number: int, count: int, settings: Prepare, seed: int) -> None:
    """The prepared folder of a fold: another split, and what is learnt from it."""
    of = prepared_folder.copy_for_fold(prepared, out, number, count, settings.split.val, seed)
    before = encoding.load(prepared)
    rows = prepare.read(prepared)
    learnt = encoding.learn(
        rows.take(of == 0), before.columns, settings.scaling, settings.missing, settings.pieces, before.label
    )
    encoding.save(learnt, out / encoding.FILE)
    if target.predicts_number(prepared):
        prepare.learn_baseline(learnt, rows, prepared.array("targets.npy"), of, out)
