"""What a language model gives away of secrets in its training text, and what lowers that: the table of docs/privacy.md.

    python data/fetch.py union
    python benchmarks/privacy.py [--files "data/union/20*.txt"] [--epochs 12] [--only long] [--again] [--json]

Ten secrets for each number of repeats are planted in the training split (`prepare.canaries`), ten are not. Each row is
a training of its own with 256 hidden units, or a variant of the row "long"; the rows "n-gram" are of no LSTM. The
columns are the mean exposure in bits (0: not planted; at most 13), by how often a secret was planted; the loss on the
test split in nats per character; and the share of training passages, and of held-out ones, of which the model continues
25 characters word for word:

    half a pass … long     so many passes over the text, --epochs of them for "long"; dropout by default
    without dropout, much  the same as long with none, or with much more
    each line once         drop_duplicates: lines
    masked                 mask: [email, phone, number]
    mixture                long, mixed with the n-gram model; 5 times: `train.ngram_least_count`
    int8 …                 methods of compression of "long"; what is fine-tuned reads the same text again

Finished rows are taken from runs/benchmarks/privacy/results.json; --again does them anew. Two runs give the same
figures on one processor: the budget is in passes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rows

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console import tables
from llmkit.console.messages import Console
from llmkit.data import tokenizer as tokenizers
from llmkit.data.splits import SPLITS
from llmkit.data.tokenizer import Encoder
from llmkit.stages.compress import compress
from llmkit.stages.evaluate import evaluate
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language import canaries, exposure, ngram

FOLDER = Path("runs/benchmarks/privacy")
HIDDEN = 256
REPEATS = [1, 4, 16, 64]
PASSAGES, PASSAGE_LENGTH = 1000, "25"
MUCH = {"dropout": 0.5, "input_dropout": 0.2, "recurrent_dropout": 0.4}
NONE = dict.fromkeys(MUCH, 0.0)
SHORTER = 0.25  # of the passes of "long": what fine-tuning gets; students get twice as many


class Bench:
    """The run directories."""

    def __init__(self, files: str, epochs: float):
        self.files, self.epochs = files, epochs
        self.ui = Console(0)

    def config(self, name: str, **sections: Any) -> experiments.Experiment:
        """The config of a run directory."""
        planted = {"files": self.files, "canaries": {"count": 10, "repeats": REPEATS}}
        data = {
            "task": "language",
            "run_dir": str(FOLDER / name.replace(" ", "-")),
            "prepare": planted | sections.pop("prepare", {}),
            "model": {"hidden_size": HIDDEN} | sections.pop("model", {}),
            "train": {"epochs": self.epochs, "patience": 0} | sections.pop("train", {}),
            "evaluate": {"memorised": PASSAGES},
            **sections,
        }
        path = FOLDER / f"{name.replace(' ', '-')}.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
        return experiments.load(path)

    def trained(self, name: str, **sections: Any) -> rows.Row:
        """A training and its figures."""
        config = self.config(name, **sections)
        prepare(config, ui=self.ui)
        found = train(config, ui=self.ui)
        return self.figures(config, "model") | {"seconds": found.get("seconds")}

    def compressed(self, name: str, variant: dict[str, Any]) -> rows.Row:
        """A variant of "long" and its figures."""
        config = self.config("long", compress={name.replace(" ", "-"): variant})
        prepare(config, ui=self.ui)
        train(config, ui=self.ui)
        compress(config, ui=self.ui)
        return self.figures(config, f"compressed/{name.replace(' ', '-')}")

    def figures(self, config: experiments.Experiment, folder: str) -> rows.Row:
        """What `evaluate` says of a model folder."""
        [found] = evaluate([experiments.read_model(config.run_dir / folder)], config, ui=self.ui)["models"]
        return {
            "exposure": {repeats: row["exposure"] for repeats, row in found["canaries"].items()},
            "extrapolated": {repeats: row["extrapolated"] for repeats, row in found["canaries"].items()},
            "loss": found["loss"],
            "memorised": found["memorised"][PASSAGE_LENGTH]["train"],
            "held_out": found["memorised"][PASSAGE_LENGTH]["held_out"],
        }

    def ngram(self, least_count: int) -> rows.Row:
        """An n-gram model of the same text, without what was seen more rarely than `least_count`."""
        config = self.config("long")
        prepare(config, ui=self.ui)
        prepared = Files(config.run_dir / "prepared")
        train_tokens, val, test = (prepared.array(f"{name}.npy", mapped=True) for name in SPLITS)
        encoder = Encoder(tokenizers.of_folder(prepared))
        model, _ = ngram.build(train_tokens, val, encoder.vocab_size, least_count=least_count)
        record = canaries.load(prepared)
        assert record is not None
        secrets = [canary.secret for canary in record.canaries]
        rng = np.random.default_rng(exposure.SEED)
        references = canaries.numbers(exposure.REFERENCES, rng, frozenset(secrets))
        context, ends = exposure.tokens(encoder, record.text, secrets + references)
        losses = exposure.ngram_losses(model, context, ends)
        bits = exposure.by_rank(losses[: len(secrets)], losses[len(secrets) :])
        of = np.array([canary.repeats for canary in record.canaries])
        return {
            "exposure": {str(repeats): float(bits[of == repeats].mean()) for repeats in [0, *REPEATS]},
            "loss": model.loss(test),
        }


def measures(bench: Bench) -> dict[str, Callable[[], rows.Row]]:
    """How each row is measured."""
    few = {"epochs": bench.epochs * SHORTER}
    student = {"epochs": 2 * bench.epochs * SHORTER}
    clean: dict[str, Any] = {
        "each line once": ["standard", {"drop_duplicates": "lines"}],
        "masked": ["standard", {"mask": ["email", "phone", "number"]}],
    }
    variants: dict[str, dict[str, Any]] = {
        "int8": {"method": "quantize"},
        "4 bits": {"method": "quantize", "bits": 4},
        "sparse 80 %": {"method": "prune", "sparsity": 0.8, **few},
        "half the units": {"method": "prune", "how": "structured", "sparsity": 0.5, **few},
        "student": {"method": "distil", "model": {"hidden_size": HIDDEN // 2}, **student},
    }
    return {
        "half a pass": lambda: bench.trained("half a pass", train={"epochs": 0.5}),
        "one pass": lambda: bench.trained("one pass", train={"epochs": 1}),
        "three passes": lambda: bench.trained("three passes", train={"epochs": 3}),
        "long": lambda: bench.trained("long"),
        "without dropout": lambda: bench.trained("without dropout", model=NONE),
        "much dropout": lambda: bench.trained("much dropout", model=MUCH),
        **{
            name: lambda name=name: bench.trained(name, prepare={"clean": clean[name]})  # type: ignore[misc]
            for name in clean
        },
        **{
            name: lambda name=name: bench.compressed(name.replace(" %", ""), variants[name])  # type: ignore[misc]
            for name in variants
        },
        "mixture": lambda: bench.trained("mixture", train={"ngram": True}),
        "mixture, 5 times": lambda: bench.trained("mixture, 5 times", train={"ngram": True, "ngram_least_count": 5}),
        "n-gram": lambda: bench.ngram(1),
        "n-gram, seen twice": lambda: bench.ngram(2),
        "n-gram, 5 times": lambda: bench.ngram(5),
        "n-gram, 20 times": lambda: bench.ngram(20),
    }


def table(found: dict[str, rows.Row]) -> list[str]:
    """The rows as Markdown."""
    repeats = ["0", *map(str, REPEATS)]
    lines = [
        [
            name,
            *(f"{row['exposure'][key]:.1f}" for key in repeats),
            f"{row['loss']:.4f}",
            *(f"{100 * row[key]:.1f} %" if key in row else "" for key in ("memorised", "held_out")),
        ]
        for name, row in found.items()
    ]
    return tables.markdown(["", *(f"{key} ×" for key in repeats), "loss", "by heart", "held out"], lines)


def main() -> None:
    """Measure what is not finished; print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", default="data/union/20*.txt")
    parser.add_argument("--epochs", type=float, default=12.0)
    parser.add_argument("--only")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments.files, arguments.epochs)
    found = rows.asked(rows.measured(parser, arguments, measures(bench), FOLDER), arguments.only)
    print(json.dumps({"rows": found}) if arguments.json else "\n".join(table(found)))


if __name__ == "__main__":
    main()
