"""llmkit on labelled pictures beside a plain CNN, a support vector machine and logistic regression.

    python benchmarks/vision.py --data data/digits/mnist_5k.csv.gz [--seeds 5] [SECTION.KEY=VALUE ...] [--json]
    python benchmarks/vision.py --data pneumonia.npz prepare.label=auto model.dropout=0.2 train.epochs=16 \\
        train.class_weights=balanced train.shift=0.1 train.scale=0.15 train.brightness=0.3

Needs the extra `bench`. FILE is what `prepare.files` reads; configs/digits-read.yaml is its config, but for what the
SECTION.KEY=VALUEs change. Everything is done with seeds 1, 2, …; figures are means over the seeds of those on the test
split (of an NPZ file with test_images that one, else one drawn by the seed), `roc_auc_low` of the lower ends of the
AUROC's 95 % intervals. Rows:

    llmkit, int8             the config's model, and compressed
    plain CNN                two convolutions with pooling, a hidden layer of 128, dropout, Adam, 12 epochs
    SVM, logistic regression of scikit-learn with default settings, on pixels from 0 to 1; they train on the validation
                             split too

Finished rows are taken from runs/benchmarks/vision-NAME/results.json, trained models from their folders there; --again
measures rows anew. `seconds` is the training.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rows

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console.messages import Console
from llmkit.data import prepared_folder
from llmkit.predicting import metrics
from llmkit.stages.compress import compress
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.vision import evaluate, prepare as task

CONFIG = Path(__file__).parents[1] / "configs" / "digits-read.yaml"
FIGURES = ("accuracy", "macro_f1", "roc_auc", "roc_auc_low", "log_loss", "calibration_error", "size_bytes")
FIGURES += ("latency_ms", "examples_per_second", "seconds")
EPOCHS, BATCH = 12, 64  # of the plain CNN


class Bench:
    """The run directories, one for each seed."""

    def __init__(self, data: str, seeds: int, overrides: list[str]):
        self.folder = Path("runs/benchmarks") / f"vision-{Path(data).name.split('.')[0]}"
        self.seeds = range(1, seeds + 1)
        self.overrides = [f"prepare.files={data}", *overrides]
        self.ui = Console()

    def config(self, seed: int) -> experiments.Experiment:
        """The config with a seed, prepared."""
        place = self.folder / f"seed-{seed}"
        config = experiments.load(CONFIG, [*self.overrides, f"run_dir={place}", f"seed={seed}"])
        prepare(config, ui=self.ui)
        return config

    def mean(self, measure: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """Means of the figures over the seeds, and the accuracy and the AUROC of each."""
        found = [measure(seed) for seed in self.seeds]
        means = {key: float(np.mean([row[key] for row in found])) for key in FIGURES if key in found[0]}
        return means | {"seeds": [{key: row[key] for key in ("accuracy", "roc_auc")} for row in found]}

    def ours(self, seed: int, name: str) -> dict[str, Any]:
        """The figures of a seed's model."""
        config = self.config(seed)
        trained = train(config, ui=self.ui)
        if name != "model":
            compress(config, [name], ui=self.ui)
        folder = experiments.read_model(config.run_dir / ("model" if name == "model" else f"compressed/{name}"))
        examples = evaluate.of_split(folder, artifacts.read(config.run_dir / "prepared"), "test")
        found = evaluate.metrics(folder, examples, config.settings, self.ui.progress, self.ui.warn)
        self.ui.close()
        low = {"roc_auc_low": found["roc_auc_interval"][0]} if "roc_auc_interval" in found else {}
        return found | low | ({"seconds": trained["seconds"]} if name == "model" else {})

    def theirs(self, seed: int, fit: Callable[..., Any]) -> dict[str, Any]:
        """The figures of what `fit(pictures, labels, pictures to tell, labels in all, seed)` says of the test split."""
        prepared = artifacts.read(self.config(seed).run_dir / "prepared")
        names = prepared_folder.read_meta(prepared)["labels"]
        parts = [task.pictures_of(prepared, name)[:2] for name in ("train", "val", "test")]
        known = [np.concatenate(both) for both in zip(parts[0], parts[1], strict=True)]
        start = time.perf_counter()
        probabilities, size = fit(*known, parts[2][0], len(names), seed)
        seconds = time.perf_counter() - start
        found = metrics.of_probabilities(probabilities, parts[2][1].astype(np.int64), names)
        return found | {"seconds": seconds} | ({"size_bytes": size} if size else {})


def linear(
    pictures: np.ndarray, labels: np.ndarray, others: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, int]:
    """(probabilities, bytes) of logistic regression."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(flat(pictures), labels)
    return model.predict_proba(flat(others)), 4 * (model.coef_.size + model.intercept_.size)


def vectors(
    pictures: np.ndarray, labels: np.ndarray, others: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, int]:
    """(probabilities, bytes) of a support vector machine; its probabilities by Platt's method, on five folds."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    model = CalibratedClassifierCV(SVC(random_state=seed), ensemble=False).fit(flat(pictures), labels)
    return model.predict_proba(flat(others)), 4 * model.calibrated_classifiers_[0].estimator.support_vectors_.size


def plain(
    pictures: np.ndarray, labels: np.ndarray, others: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, int]:
    """(probabilities, bytes) of a plain CNN."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(seed)
    side = pictures.shape[1] // 4
    network = nn.Sequential(
        nn.Conv2d(pictures.shape[3], 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, count),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    x, y = (torch.from_numpy(part) for part in (scaled(pictures), labels.astype(np.int64)))
    for _ in range(EPOCHS):
        for which in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(x[which]), y[which]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        found = network(torch.from_numpy(scaled(others))).softmax(dim=1).double().numpy()
    return found / found.sum(axis=1, keepdims=True), 4 * sum(weight.numel() for weight in network.parameters())


def scaled(pictures: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1, colours first."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def flat(pictures: np.ndarray) -> np.ndarray:
    """The same as rows."""
    return scaled(pictures).reshape(len(pictures), -1)


def rows_of(bench: Bench) -> dict[str, Callable[[], dict[str, Any]]]:
    """{row: what makes it, returning its figures}."""
    return {
        "llmkit": lambda: bench.mean(lambda seed: bench.ours(seed, "model")),
        "llmkit, int8": lambda: bench.mean(lambda seed: bench.ours(seed, "int8")),
        "plain CNN": lambda: bench.mean(lambda seed: bench.theirs(seed, plain)),
        "SVM (RBF)": lambda: bench.mean(lambda seed: bench.theirs(seed, vectors)),
        "logistic regression": lambda: bench.mean(lambda seed: bench.theirs(seed, linear)),
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    heads = ("accuracy", "macro F1", "AUROC", "low", "log loss", "calibration", "size", "ms", "pictures/s", "seconds")
    print(f"{'row':22}" + "".join(f"{head:>12}" for head in heads))
    for name, row in found.items():
        cells = [f"{row[key]:,.4g}" if key in row else "" for key in FIGURES]
        print(f"{name:22}" + "".join(f"{cell:>12}" for cell in cells))


def main() -> None:
    """Measure what is not measured yet, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE", help="of the config")
    parser.add_argument("--data", default="data/digits/mnist_5k.csv.gz", metavar="FILE", help="labelled pictures")
    parser.add_argument("--seeds", type=int, default=5, help="so many of them (default: 5)")
    parser.add_argument("--only", metavar="ROW", help="one row by its name")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments.data, arguments.seeds, arguments.overrides)
    found = rows.asked(rows.measured(parser, arguments, rows_of(bench), bench.folder), arguments.only)
    if arguments.json:
        print(json.dumps({"rows": [{"row": name} | row for name, row in found.items()]}))
    else:
        show(found)


if __name__ == "__main__":
    main()
