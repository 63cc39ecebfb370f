"""llmkit on labelled sentences against the linear baselines of scikit-learn, on the very same folds.

    python benchmarks/classify.py [movies] [--json]

Needs the extra `bench` and the data (python data/fetch.py movies). Each data set is cross-validated with the five folds
of `train.folds`: configs/NAME.yaml as it stands beside TF-IDF of words (1 and 2) with logistic regression and with
multinomial naive Bayes, and TF-IDF of characters (2 to 5) with logistic regression. llmkit takes a tenth of its
training sentences for validation; the others train on all of them. Figures are means over the folds; seconds are those
of training one fold.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from llmkit import config as configs
from llmkit.classification import figures, splits
from llmkit.console import Console
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks.classify import prepare as examples

CONFIGS = Path(__file__).parents[1] / "configs"
FOLDS = 5
FIGURES = ("accuracy", "macro_f1", "log_loss", "calibration_error")


def ours(config: configs.Config) -> dict[str, float]:
    """Means over the folds of the config's own model."""
    result = train(config, ui=Console(1))
    return {name: result[f"mean_{name}"] for name in FIGURES} | {"seconds": result["mean_fold_seconds"]}


def theirs(config: configs.Config) -> dict[str, dict[str, float]]:
    """The same of scikit-learn's models, by name."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    prepared = config.run_dir / "prepared"
    texts = np.array(examples.read(prepared), dtype=object)
    labels, names = np.load(prepared / "labels.npy"), splits.read_meta(prepared)["labels"]
    fold = splits.folds(labels, FOLDS, config.settings.seed)
    words = {"ngram_range": (1, 2), "sublinear_tf": True}
    characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    models = {
        "words, logistic regression": lambda: (TfidfVectorizer(**words), LogisticRegression(max_iter=1000)),
        "words, naive Bayes": lambda: (TfidfVectorizer(**words), MultinomialNB()),
        "characters, logistic regression": lambda: (TfidfVectorizer(**characters), LogisticRegression(max_iter=1000)),
    }
    results = {}
    for name, make in models.items():
        measured = []
        for number in range(FOLDS):
            model = make_pipeline(*make())
            start = time.perf_counter()
            model.fit(texts[fold != number], labels[fold != number])
            seconds = time.perf_counter() - start
            predicted = model.predict_proba(texts[fold == number])
            measured.append(figures.figures(predicted, labels[fold == number], names) | {"seconds": seconds})
        results[name] = {key: float(np.mean([row[key] for row in measured])) for key in (*FIGURES, "seconds")}
    return results


def main() -> None:
    """Measure, print a table for each data set or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["movies"], metavar="NAME", help="of a config")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            config = configs.load(CONFIGS / f"{name}.yaml", [f"run_dir={folder}", f"train.folds={FOLDS}"])
            prepare(config)
            results[name] = theirs(config) | {"llmkit": ours(config)}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, models in results.items():
        print(
            f"{name:32}{'accuracy':>10}{'macro F1':>10}{'log loss':>10}{'calibration error':>19}{'seconds a fold':>16}"
        )
        for model, row in models.items():
            print(f"{model:32}{row['accuracy']:10.4f}{row['macro_f1']:10.4f}{row['log_loss']:10.4f}", end="")
            print(f"{row['calibration_error']:19.4f}{row['seconds']:16.2f}")
        print()


if __name__ == "__main__":
    main()
