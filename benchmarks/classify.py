"""llmkit on labelled texts beside what one would take instead, on the very same splits.

    python data/fetch.py movies newsgroups reuters reviews-zh
    pip install -c constraints.txt ".[train,bench]"
    python benchmarks/classify.py [movies newsgroups reuters reviews-zh] [--fold 1 …] [--parts] [--again] [--json]

Data sets with an official test split are trained on the rest and scored on that; the others are cross-validated with
the five folds of `train.folds`. Measured are configs/NAME.yaml as it stands, its int8 variant, and scikit-learn's
models over sublinear TF-IDF of words (1 and 2; of Chinese, characters): logistic regression, a linear SVM (whose
probabilities are Platt's), complement naive Bayes. Where there are two labels also naive Bayes, logistic regression
over characters (2 to 5), NB-SVM of words (1 to 3: Wang & Manning 2012, with logistic regression in place of the SVM),
and the log-odds of these three added with weights 2 : 1 : 1. fastText (words and pairs, 25 passes) has a row where
the package `fasttext` is installed. llmkit takes a part of its training texts for validation (prepare.split.val); the
others train on all.

--parts measures llmkit without each of its parts instead, and without its LSTM and its linear part, beside all of it.

Figures are means over the folds. Seconds are those of training one fold: of llmkit what is learnt when it is prepared,
and from the first step to the last, validations included; of the others all of `fit`. Texts per second are those of
`llmkit evaluate`, from the text on, in batches.

Finished folds are kept in runs/benchmarks/classify/NAME, so that a run that was stopped goes on, as does one that
trains single folds; --again does them anew. For the seconds nothing else should run on the machine.
"""

import argparse
import json
import shutil
import tempfile
import time
from importlib.util import find_spec
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
MIXED = "naive Bayes and the last two, mixed 2 : 1 : 1"
OFFICIAL = {"newsgroups": "20newsgroups-test.csv", "reuters": "reuters-r52-test.csv"}  # test files, in data/NAME
PARTS = {  # what is left out: how
    "LSTM": ["model.ngram_share=1"],
    "linear part": ["model.ngram_share=0"],
    "words": ["prepare.ngrams.words=0"],
    "pairs of words": ["prepare.ngrams.words=1"],
    "characters": ["prepare.ngrams.characters=0"],
    "negations": ["prepare.ngrams.negations=[]"],
}
CHINESE = ("reviews-zh",)
DATA = CONFIGS.parent / "data"
Rows = dict[str, dict[str, Any]]


def ours(name: str, number: int, part: str | None = None) -> Rows:
    """Figures of llmkit's model (without one of PARTS) and of its int8 variant on fold `number`, from 1."""
    options = PARTS[part] if part else []
    folder = RUNS / name / (f"without-{part.replace(' ', '-')}" if part else ".")
    whole = experiments.load(CONFIGS / f"{name}.yaml", [f"run_dir={folder}", *options])
    prepare(whole)
    place = folder / (f"fold-{number}" if name not in OFFICIAL else "official")
    options = [*options, f"run_dir={place}", "train.folds=null", "evaluate.require={}"]
    config = experiments.load(CONFIGS / f"{name}.yaml", options)
    learning = _prepare(whole, config, number, name in OFFICIAL)
    trained = train(config, ui=Console(1))
    compress(config, ["int8"], ui=Console(1))
    folders = [experiments.read_model(place / "model"), experiments.read_model(place / "compressed" / "int8")]
    on = [DATA / name / OFFICIAL[name]] if name in OFFICIAL else None
    found = evaluate(folders, config, on=on)["models"]
    seconds = {"seconds": learning + trained["seconds"]}
    rows = {row: figures | seconds for row, figures in zip(("llmkit", "llmkit, int8"), found, strict=True)}
    return {row: {key: found[key] for key in (*FIGURES, "size_bytes")} for row, found in rows.items()}


def _prepare(whole: experiments.Experiment, config: experiments.Experiment, number: int, official: bool) -> float:
    """Prepare a fold, or all texts where the split is official; returns the seconds that it took when it was done."""
    taken = config.run_dir / "seconds.json"
    start = time.perf_counter()
    done = prepare(config).get("up_to_date", False) if official else _prepare_fold(whole, config, number)
    if not done or not taken.exists():
        artifacts.write_json(taken, {"seconds": time.perf_counter() - start})
    return float(json.loads(taken.read_text())["seconds"])


def _prepare_fold(whole: experiments.Experiment, config: experiments.Experiment, number: int) -> bool:
    """Make the prepared folder of `config` that of a fold; returns whether it was there already."""
    place, settings, seed = config.run_dir / "prepared", config.settings.prepare, config.settings.seed
    prepared = artifacts.read(whole.run_dir / "prepared")
    parents = {"prepared": prepared.hash}
    if place.exists() and artifacts.read(place).manifest["parents"] == parents:
        return True
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
    return False


def theirs(name: str, number: int) -> Rows:
    """The same of the other models."""
    texts, labels, unseen_texts, unseen, names = _split(name, number)
    rows, probabilities = {}, {}
    for model, fitted in _models(name, len(names)).items():
        start = time.perf_counter()
        fitted.fit(texts, labels)
        fitting = time.perf_counter()
        probabilities[model] = fitted.predict_proba(unseen_texts)
        speed = len(unseen) / (time.perf_counter() - fitting)
        found = metrics.of_probabilities(probabilities[model], unseen, names)
        rows[model] = found | {"seconds": fitting - start, "examples_per_second": speed}
    if len(names) == 2:
        mixed = ("words, naive Bayes", "characters, logistic regression", "words, NB-SVM")
        odds = [np.log(part[:, 1]) - np.log(part[:, 0]) for part in map(probabilities.__getitem__, mixed)]
        total = 2 * odds[0] + odds[1] + odds[2]
        found = metrics.of_probabilities(metrics.softmax(np.stack([-total / 2, total / 2], axis=1)), unseen, names)
        parts = [rows[model] for model in mixed]
        seconds, speed = sum(r["seconds"] for r in parts), 1 / sum(1 / r["examples_per_second"] for r in parts)
        rows[MIXED] = found | {"seconds": seconds, "examples_per_second": speed}
    return {model: {key: float(row[key]) for key in FIGURES} for model, row in rows.items()}


def _split(name: str, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """(texts, label numbers, unseen texts, theirs, the labels' names) of a fold or of the official split."""
    config = experiments.load(CONFIGS / f"{name}.yaml")
    prepared = artifacts.read(RUNS / name / "prepared")
    texts = np.array(labelled.read(prepared), dtype=object)
    labels, names = prepared.array("labels.npy"), prepared_folder.read_meta(prepared)["labels"]
    if name not in OFFICIAL:
        unseen = splits.folds(labels, FOLDS, config.settings.seed) == number - 1
        return texts[~unseen], labels[~unseen], texts[unseen], labels[unseen], names
    found, theirs, _ = labelled.read_examples(
        [DATA / name / OFFICIAL[name]], config.settings.prepare, lambda *progress: None, print
    )
    return texts, labels, np.array(found, dtype=object), np.array([names.index(label) for label in theirs]), names


def _models(name: str, classes: int) -> dict[str, Any]:
    """What llmkit has to beat."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import ComplementNB, MultinomialNB
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = {"ngram_range": (1, 2), "sublinear_tf": True, "analyzer": "char" if name in CHINESE else "word"}
    characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    svm = CalibratedClassifierCV(LinearSVC(), ensemble=False)
    models: dict[str, Any] = {
        "words, logistic regression": make_pipeline(TfidfVectorizer(**words), LogisticRegression(max_iter=1000)),
        "words, linear SVM": make_pipeline(TfidfVectorizer(**words), svm),
        "words, complement naive Bayes": make_pipeline(TfidfVectorizer(**words), ComplementNB()),
    }
    if classes == 2:
        models["words, naive Bayes"] = make_pipeline(TfidfVectorizer(**words), MultinomialNB())
        models["characters, logistic regression"] = make_pipeline(
            TfidfVectorizer(**characters), LogisticRegression(max_iter=1000)
        )
        models["words, NB-SVM"] = _NbSvm(words["analyzer"])
    if find_spec("fasttext"):
        models["fastText"] = _FastText(name in CHINESE)
    return models


class _FastText:
    """fastText's own classifier: words and their pairs, 25 passes; of Chinese, characters."""

    def __init__(self, by_character: bool):
        self.by_character = by_character

    def fit(self, texts: np.ndarray, labels: np.ndarray) -> None:
        import fasttext

        self.count = int(labels.max()) + 1
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.writelines(f"__label__{k} {self._line(text)}\n" for text, k in zip(texts, labels, strict=True))
            file.flush()
            self.model = fasttext.train_supervised(file.name, epoch=25, lr=0.5, wordNgrams=2, thread=2, verbose=0)

    def predict_proba(self, texts: np.ndarray) -> np.ndarray:
        found = np.full((len(texts), self.count), 1e-9)
        for row, text in enumerate(texts):
            for chance, label in self.model.f.predict(self._line(text) + "\n", self.count, 0.0, "strict"):
                found[row, int(label.removeprefix("__label__"))] = max(chance, 1e-9)
        return found / found.sum(axis=1, keepdims=True)

    def _line(self, text: str) -> str:
        line = " ".join(text.lower().split())
        return " ".join(line) if self.by_character else line


class _NbSvm:
    """Binary n-grams of 1 to 3 words times their log-count ratios, rows of length 1, into logistic regression."""

    def __init__(self, analyzer: str):
        self.analyzer = analyzer

    def fit(self, texts: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        self.words = CountVectorizer(ngram_range=(1, 3), binary=True, analyzer=self.analyzer)
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
    for number in numbers if name not in OFFICIAL else [1]:
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


def measure_parts(name: str, numbers: list[int], again: bool) -> Rows:
    """Means over the folds of llmkit's float model, and of it without each of PARTS."""
    rows: Rows = {}
    for part in (None, *PARTS):
        row = f"llmkit without {part}" if part else "llmkit"
        results = RUNS / name / "parts" / f"{row}.json"
        found: Rows = json.loads(results.read_text()) if results.exists() and not again else {}
        wanted = list(map(str, numbers if name not in OFFICIAL else [1]))
        for number in wanted:
            if number not in found:
                found[number] = ours(name, int(number), part)["llmkit"]
                results.parent.mkdir(parents=True, exist_ok=True)
                artifacts.write_json(results, found)
        rows[row] = {key: float(np.mean([found[number][key] for number in wanted])) for key in found[wanted[0]]}
    return rows


def show(name: str, rows: Rows) -> None:
    """Print the table of a data set."""
    print(f"{name:48}" + "".join(f"{heading:>11}" for heading in HEADINGS))
    for model, row in rows.items():
        print(f"{model:48}" + "".join(f"{row[key]:11.4f}" for key in FIGURES[:4]), end="")
        print(f"{row['seconds']:11.1f}{row['examples_per_second']:11,.0f}")
    if "llmkit, int8" not in rows:
        print()
        return
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
    parser.add_argument("--parts", action="store_true", help="llmkit without each of its parts")
    parser.add_argument("--again", action="store_true", help="measure finished folds again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = measure_parts if arguments.parts else measure
    results = {name: measured(name, arguments.fold, arguments.again) for name in arguments.names}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, rows in results.items():
        show(name, rows)


if __name__ == "__main__":
    main()
