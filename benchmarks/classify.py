"""llmkit on labelled sentences against the linear baselines of scikit-learn, on the very same folds.

    python data/fetch.py movies
    pip install -c constraints.txt ".[train,bench]"
    python benchmarks/classify.py [movies] [--fold 1 …] [--again] [--json]

Each data set is cross-validated with the five folds of `train.folds`: configs/NAME.yaml as it stands, its int8 variant,
and what it has to beat: TF-IDF of words (1 and 2) with logistic regression and with multinomial naive Bayes, TF-IDF of
characters (2 to 5) with logistic regression, NB-SVM of words (1 to 3: Wang & Manning 2012, with logistic regression in
place of the SVM), and the log-odds of the last three of these added with weights 2 : 1 : 1, where there are two labels.
llmkit takes a part of its training sentences for validation (prepare.split.val); the others train on all of them.

Figures are means over the folds. Seconds are those of training one fold: of llmkit from its first step to its last,
n-grams and validations included, of the others all of `fit`. Sentences per second are those of `llmkit evaluate`, from
the text on, in batches.

Finished folds are kept in runs/benchmarks/classify/NAME, so that a run that was stopped goes on, as does one that
trains single folds; --again does them anew. For the seconds nothing else should run on the machine.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.config import schema
from llmkit.console.messages import Console
from llmkit.data import prepared_folder, splits
from llmkit.predicting import metrics
from llmkit.stages.compress import compress
from llmkit.stages.evaluate import evaluate
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.classify import labelled, prepare as examples

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS = Path("runs/benchmarks/classify")
FOLDS = 5
FIGURES = ("accuracy", "macro_f1", "log_loss", "calibration_error", "seconds", "examples_per_second")
HEADINGS = ("accuracy", "macro F1", "log loss", "ECE", "s a fold", "texts/s")
MIXED = "the last three, mixed 2 : 1 : 1"
Rows = dict[str, dict[str, Any]]


def ours(name: str, number: int) -> Rows:
    """Figures of llmkit's model and of its int8 variant on fold `number`, from 1."""
    whole = experiments.load(CONFIGS / f"{name}.yaml", [f"run_dir={RUNS / name}"])
    place = RUNS / name / f"fold-{number}"
    config = experiments.load(CONFIGS / f"{name}.yaml", [f"run_dir={place}", "train.folds=null", "evaluate.require={}"])
    _prepare_fold(whole, config, number)
    trained = train(config, ui=Console(1))
    compress(config, ["int8"], ui=Console(1))
    folders = [experiments.read_model(place / "model"), experiments.read_model(place / "compressed" / "int8")]
    plain, small = evaluate(folders, config)["models"]
    kept = (*FIGURES, "size_bytes")
    rows = {"llmkit": plain | {"seconds": trained["seconds"]}, "llmkit, int8": small | {"seconds": trained["seconds"]}}
    return {row: {key: found[key] for key in kept} for row, found in rows.items()}


def _prepare_fold(whole: experiments.Experiment, config: experiments.Experiment, number: int) -> None:
    """Make the prepared folder of `config` that of a fold, unless it is there already."""
    place, settings, seed = config.run_dir / "prepared", config.settings.prepare, config.settings.seed
    prepared = artifacts.read(whole.run_dir / "prepared")
    parents = {"prepared": prepared.hash}
    if place.exists() and artifacts.read(place).manifest["parents"] == parents:
        return
    with artifacts.building(place) as folder:
        config.task.folds.fold(prepared, folder.path, number, FOLDS, settings, seed)
        folder.finish(
            stage="prepare",
            task=config.task.name,
            settings={"prepare": schema.to_data(settings)},
            seed=seed,
            parents=parents,
            inputs=examples.inputs(settings),
        )


def theirs(name: str, number: int) -> Rows:
    """The same of scikit-learn's models."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    config = experiments.load(CONFIGS / f"{name}.yaml")
    prepared = artifacts.read(RUNS / name / "prepared")
    texts = np.array(labelled.read(prepared), dtype=object)
    labels, names = prepared.array("labels.npy"), prepared_folder.read_meta(prepared)["labels"]
    unseen = splits.folds(labels, FOLDS, config.settings.seed) == number - 1
    words = {"ngram_range": (1, 2), "sublinear_tf": True}
    characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    models = {
        "words, logistic regression": make_pipeline(TfidfVectorizer(**words), LogisticRegression(max_iter=1000)),
        "words, naive Bayes": make_pipeline(TfidfVectorizer(**words), MultinomialNB()),
        "characters, logistic regression": make_pipeline(
            TfidfVectorizer(**characters), LogisticRegression(max_iter=1000)
        ),
        "words, NB-SVM": _NbSvm(),
    }
    rows, probabilities = {}, []
    for model, fitted in models.items():
        start = time.perf_counter()
        fitted.fit(texts[~unseen], labels[~unseen])
        fitting = time.perf_counter()
        probabilities.append(fitted.predict_proba(texts[unseen]))
        speed = unseen.sum() / (time.perf_counter() - fitting)
        found = metrics.of_probabilities(probabilities[-1], labels[unseen], names)
        rows[model] = found | {"seconds": fitting - start, "examples_per_second": speed}
    if len(names) == 2:
        odds = [np.log(part[:, 1]) - np.log(part[:, 0]) for part in probabilities[1:]]
        mixed = 2 * odds[0] + odds[1] + odds[2]
        found = metrics.of_probabilities(
            metrics.softmax(np.stack([-mixed / 2, mixed / 2], axis=1)), labels[unseen], names
        )
        parts = [rows[model] for model in list(models)[1:]]
        seconds, speed = sum(r["seconds"] for r in parts), 1 / sum(1 / r["examples_per_second"] for r in parts)
        rows[MIXED] = found | {"seconds": seconds, "examples_per_second": speed}
    return {model: {key: float(row[key]) for key in FIGURES} for model, row in rows.items()}


class _NbSvm:
    """Binary n-grams of 1 to 3 words times their log-count ratios, rows of length 1, into logistic regression."""

    def fit(self, texts: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        self.words = CountVectorizer(ngram_range=(1, 3), binary=True)
        held = self.words.fit_transform(texts)
        counts = np.stack([np.asarray(held[labels == k].sum(axis=0)).ravel() + 1.0 for k in range(labels.max() + 1)])
        shares, others = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=0) - counts
        rest = others / others.sum(axis=1, keepdims=True)
        self.ratio = np.log(shares / rest)[-1] if len(counts) == 2 else np.abs(np.log(shares / rest)).max(axis=0)
        one = LogisticRegression(max_iter=1000)
        self.model = (one if len(counts) == 2 else OneVsRestClassifier(one)).fit(self._rows(held), labels)

    def predict_proba(self, texts: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(self._rows(self.words.transform(texts)))

    def _rows(self, held: Any) -> Any:
        from sklearn.preprocessing import normalize

        return normalize(held.astype(np.float64)).multiply(self.ratio).tocsr()


def measure(name: str, numbers: list[int], again: bool) -> Rows:
    """Means over the folds that are finished, after the folds `numbers`."""
    folder = RUNS / name
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    prepare(experiments.load(CONFIGS / f"{name}.yaml", [f"run_dir={folder}"]))
    results = folder / "baselines.json"
    found: dict[str, Rows] = json.loads(results.read_text()) if results.exists() else {}
    llmkit: dict[str, Rows] = {}
    for number in numbers:
        llmkit[str(number)] = ours(name, number)
        if str(number) not in found:
            found[str(number)] = theirs(name, number)
            artifacts.write_json(results, found)
    folds = [found[number] | llmkit[number] for number in llmkit]
    rows: Rows = {}
    for model in folds[0]:
        of = [fold[model] for fold in folds]
        rows[model] = {key: float(np.mean([row[key] for row in of])) for key in of[0]}
        rows[model] |= {"folds": [row["accuracy"] for row in of]}
    change = rows["llmkit, int8"]["accuracy"] - rows["llmkit"]["accuracy"]
    rows["llmkit, int8"]["accuracy_change"] = change
    return rows


def show(name: str, rows: Rows) -> None:
    """Print the table of a data set."""
    print(f"{name:32}" + "".join(f"{heading:>11}" for heading in HEADINGS))
    for model, row in rows.items():
        print(f"{model:32}" + "".join(f"{row[key]:11.4f}" for key in FIGURES[:4]), end="")
        print(f"{row['seconds']:11.1f}{row['examples_per_second']:11,.0f}")
    small, plain = rows["llmkit, int8"], rows["llmkit"]
    print(f"accuracy of llmkit's folds: {', '.join(f'{accuracy:.4f}' for accuracy in plain['folds'])}")
    print(
        f"int8 changes the accuracy by {100 * small['accuracy_change']:+.2f} points and the size from "
        f"{plain['size_bytes'] / 1e6:.1f} to {small['size_bytes'] / 1e6:.1f} MB\n"
    )


def main() -> None:
    """Measure, print a table for each data set or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["movies"], metavar="NAME", help="of a config")
    folds = list(range(1, FOLDS + 1))
    parser.add_argument("--fold", type=int, nargs="+", choices=folds, default=folds, help="only these; all by default")
    parser.add_argument("--again", action="store_true", help="measure finished folds again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {name: measure(name, arguments.fold, arguments.again) for name in arguments.names}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, rows in results.items():
        show(name, rows)


if __name__ == "__main__":
    main()
