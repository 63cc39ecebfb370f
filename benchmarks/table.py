"""llmkit on tables against scikit-learn, on the very same folds.

    python benchmarks/table.py [cancer credit] [--repeats 5] [--json]

Needs the extra `bench` and the data (python data/fetch.py cancer credit). Each data set is cross-validated with the
five folds of `train.folds`: configs/NAME.yaml as it stands beside logistic regression, gradient boosting and a
multi-layer perceptron of scikit-learn, with their default settings on one-hot categories and standardized numbers
(missing ones: the median). llmkit takes a tenth of its training rows for validation; the others train on all of them.
Figures are means over the folds; seconds are those of training one fold. With --repeats everything is done with as many
seeds (1, 2, …), each with folds of its own, and the means are over all of them: on a few hundred rows one set of folds
says little of the third digit.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.console.messages import Console
from llmkit.data import prepared_folder, splits
from llmkit.predicting import metrics
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.table import prepare as rows

CONFIGS = Path(__file__).parents[1] / "configs"
FOLDS = 5
FIGURES = ("roc_auc", "accuracy", "log_loss", "calibration_error")


def ours(config: experiments.Experiment) -> dict[str, float]:
    """Means over the folds of the config's own model."""
    result = train(config, ui=Console(0))
    return {name: result[f"mean_{name}"] for name in FIGURES} | {"seconds": result["mean_fold_seconds"]}


def theirs(config: experiments.Experiment) -> dict[str, dict[str, float]]:
    """The same of scikit-learn's models, by name."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepared = artifacts.read(config.run_dir / "prepared")
    found = rows.read(prepared)
    labels, names = prepared.array("labels.npy"), prepared_folder.read_meta(prepared)["labels"]
    words = np.where(found.categories == None, "missing", found.categories)  # noqa: E711 (elementwise)
    table = np.concatenate([found.numbers.astype(object), words], axis=1)
    numbers, categories = np.split(np.arange(table.shape[1]), [found.numbers.shape[1]])
    fold = splits.folds(labels, FOLDS, config.settings.seed)
    models = {
        "logistic regression": lambda: LogisticRegression(max_iter=2000),
        "gradient boosting": lambda: GradientBoostingClassifier(random_state=0),
        "multi-layer perceptron": lambda: MLPClassifier(max_iter=500, random_state=0),
    }
    results = {}
    for name, make in models.items():
        measured = []
        for number in range(FOLDS):
            scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
            encoded = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            model = make_pipeline(make_column_transformer((scaled, numbers), (encoded, categories)), make())
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the perceptron, that it has not converged
                model.fit(table[fold != number], labels[fold != number])
            seconds = time.perf_counter() - start
            predicted = model.predict_proba(table[fold == number])
            measured.append(metrics.of_probabilities(predicted, labels[fold == number], names) | {"seconds": seconds})
        results[name] = {key: float(np.mean([row[key] for row in measured])) for key in (*FIGURES, "seconds")}
    return results


def cross_validated(name: str, seed: int) -> dict[str, dict[str, float]]:
    """{model: its means over the folds of a seed} of a config's data."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"run_dir={folder}", f"seed={seed}", f"train.folds={FOLDS}"]
        config = experiments.load(CONFIGS / f"{name}.yaml", overrides)
        prepare(config)
        return {"llmkit": ours(config)} | theirs(config)


def main() -> None:
    """Measure, print a table for each data set or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["cancer", "credit"], metavar="NAME", help="of a config")
    parser.add_argument("--repeats", type=int, default=1, help="cross-validations, each by a seed (default: 1)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name in arguments.names:
        measured = [cross_validated(name, 1 + number) for number in range(arguments.repeats)]
        results[name] = {
            model: {key: float(np.mean([each[model][key] for each in measured])) for key in row}
            for model, row in measured[0].items()
        }
    if arguments.json:
        print(json.dumps(results))
        return
    for name, models in results.items():
        print(
            f"{name:24}{'ROC AUC':>10}{'accuracy':>10}{'log loss':>10}{'calibration error':>19}{'seconds a fold':>16}"
        )
        for model, row in models.items():
            print(f"{model:24}{row['roc_auc']:10.4f}{row['accuracy']:10.4f}", end="")
            print(f"{row['log_loss']:10.4f}{row['calibration_error']:19.4f}{row['seconds']:16.2f}")
        print()


if __name__ == "__main__":
    main()
