"""What each way to make a model smaller costs: size, loss and speed, beside the model it comes from.

    python benchmarks/compress.py --text FILE [--minutes 10] [--only "sparse 80 %"] [--again] [--json]

The parent has 512 hidden units and is trained for --minutes; what is fine-tuned gets 0.3 of that, so the row
"trained on" is the parent after as many more minutes; students get as long, with a teacher or alone. In the rows
"longer" half the units are fine-tuned for 0.5 of the parent's minutes, the parent is trained on as long, and a model of
half the units is trained from scratch for as long in all. 5 % of the text are for validation, on which every choice is
made, and the last 5 % for the figures:

    size, smaller    of the model folder, and how many times smaller than the parent's
    loss, change     nats per character, state carried, and how much more than the parent's
    vs. trained on   the same against the parent trained on (rows that learn)
    tokens/s, faster one stream, greedy, one thread, right after the parent's own
    minutes          of training, the parent's not included

Below the table stands what was wanted of each row, and what came of it. Finished rows are taken from
runs/benchmarks/compress-MINUTES/results.json; --again does them anew. Nothing else should run on the machine.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import rows

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console.messages import Console
from llmkit.errors import RequirementError
from llmkit.stages.compress import compress
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language import use
from llmkit.tasks.language.evaluate import speed

HIDDEN, SEEDS, ROUNDS = 512, (1, 2, 3), 3
FINE_TUNING, STUDENT, LONGER = 0.3, 0.3, 0.5  # of the parent's minutes
BUDGET_MB, BUDGET_PERCENT = 0.45, 2.0
SPLIT = {"val": 0.05, "test": 0.05}

# What the table is to show: (row, figure, whether it is at least or at most, value or the row whose figure it is).
WANTED: list[tuple[str, str, str, float | str]] = [
    ("int8", "smaller", ">=", 3.8),
    ("int8", "change", "<=", 0.2),
    ("int8", "faster", ">=", 1.7),
    ("4 bits", "smaller", ">=", 6.4),
    ("4 bits", "change", "<=", 0.7),
    ("sparse 80 %", "smaller", ">=", 3.0),
    ("sparse 80 %", "change", "<=", 1.5),
    ("half the units", "faster", ">=", 1.8),
    ("half the units", "change", "<=", 3.0),
    ("half the units", "loss", "<=", "half, from scratch"),
    ("half, longer", "loss", "<=", "longer, from scratch"),
    ("quarter, taught", "loss", "<=", "quarter, alone"),
    ("soup", "loss", "<=", "best of the soup"),
    ("student of three", "loss", "<=", "best of three"),
    ("chain", "smaller", ">=", 12.0),
    ("chain", "change", "<=", 2.0),
    ("budget", "size", "<=", 1e6 * BUDGET_MB),
    ("budget", "change", "<=", 2.0),
    ("budget", "minutes", "<=", 15.0),
]


class Bench:
    """The run directories of a scale, and the parent."""

    def __init__(self, text: Path, minutes: float):
        self.text, self.minutes, self.more = text, minutes, FINE_TUNING * minutes
        self.folder = Path(f"runs/benchmarks/compress-{minutes:g}")
        self.ui = Console()

    def config(self, name: str, **sections: Any) -> experiments.Experiment:
        """The config of a run directory; all have the same prepared data."""
        place = self.folder / name
        data = {
            "task": "language",
            "run_dir": str(place),
            "prepare": {"files": str(self.text), "split": SPLIT},
            **sections,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
        loaded = experiments.load(path)
        parent = self.folder / "parent" / "prepared"
        if name != "parent" and not (place / "prepared").exists():
            shutil.copytree(parent, place / "prepared")
        return loaded

    def parent(self, variants: dict[str, Any] | None = None) -> experiments.Experiment:
        """The parent's config, with these variants; it is trained where it is not yet."""
        settings = {"max_minutes": self.minutes}
        config = self.config("parent", model={"hidden_size": HIDDEN}, train=settings, compress=variants or {})
        prepare(config, ui=self.ui)
        train(config, ui=self.ui)
        return config

    def trained(self, name: str, minutes: float, hidden: int, seed: int = 1, **settings: Any) -> ModelFolder:
        """A model beside the parent."""
        self.parent()
        budget = {"max_minutes": minutes, "patience": 0, **settings}  # all of the minutes
        config = self.config(name, model={"hidden_size": hidden}, train=budget, seed=seed)
        train(config, ui=self.ui)
        return experiments.read_model(config.run_dir / "model")

    def trained_on(self, seed: int = 1, minutes: float | None = None) -> ModelFolder:
        """The parent trained on, for as long as a fine-tuning takes by default."""
        self.parent()
        name, start = f"on-{seed}" + ("-longer" if minutes else ""), str(self.folder / "parent" / "model")
        return self.trained(name, minutes or self.more, HIDDEN, seed, start_from=start)

    def compressed(self, name: str, variant: dict[str, Any]) -> ModelFolder:
        """A variant of the parent."""
        config = self.parent({name: variant})
        [row] = compress(config, [name], ui=self.ui)["models"]
        if "unmet" in row:
            raise RequirementError(row["unmet"])
        return experiments.read_model(config.run_dir / "compressed" / name)

    def quarter(self) -> int:
        """Hidden units of a network with a quarter of the parent's parameters."""
        self.parent()
        weights = experiments.read_model(self.folder / "parent" / "model").weights()
        vocab_size, embedding_size = weights["embedding"].shape

        def parameters(hidden: int) -> int:
            return 4 * hidden * (embedding_size + hidden + 1) + vocab_size * (hidden + 1 + embedding_size)

        return max(hidden for hidden in range(8, HIDDEN, 8) if 4 * parameters(hidden) <= parameters(HIDDEN))

    def alone(self, seed: int = 1) -> ModelFolder:
        """A model of a quarter of the parameters, without a teacher."""
        return self.trained(f"quarter-{seed}", STUDENT * self.minutes, self.quarter(), seed)

    def best_trained_on(self) -> ModelFolder:
        """The best of those, trained on without a teacher for as long as a student of all learns."""
        best = min((self.alone(seed) for seed in SEEDS), key=lambda folder: folder.result["val_loss"])
        return self.trained("quarter-on", STUDENT * self.minutes, self.quarter(), start_from=str(best.path))

    def measured(self, folder: ModelFolder, minutes: float) -> dict[str, Any]:
        """The figures of a row."""
        parent = experiments.read_model(self.folder / "parent" / "model")
        model, beside = use.load(folder), use.load(parent)
        rates = [(speed(beside), speed(model)) for _ in range(ROUNDS)]
        before, rate = (max(column) for column in zip(*rates, strict=True))
        losses = [loss_of(place, self.folder / "parent" / "prepared") for place in (parent, folder)]
        return {
            "size": folder.size_bytes,
            "smaller": parent.size_bytes / folder.size_bytes,
            "loss": losses[1],
            "change": 100 * (losses[1] / losses[0] - 1),
            "tokens_per_second": rate,
            "faster": rate / before,
            "minutes": minutes,
            "parameters": folder.result["parameters"],
        }


def loss_of(folder: ModelFolder, prepared: Path) -> float:
    """Nats per character on the test text."""
    tokens = np.load(prepared / "test.npy").astype(np.int64)
    return use.load(folder).score_tokens(tokens, 1)["loss"]


def rows_of(bench: Bench) -> dict[str, Any]:
    """{row: what makes it, returning its figures}; a row that another needs is made with it."""
    minutes, more, student, longer = bench.minutes, bench.more, STUDENT * bench.minutes, LONGER * bench.minutes

    def row(make: Any, spent: float) -> Any:
        return lambda: bench.measured(make(), spent)

    def variant(name: str, settings: dict[str, Any], spent: float = 0.0) -> Any:
        return row(lambda: bench.compressed(name, settings), spent)

    def best(make: Any, spent: float) -> Any:
        """The member of least validation loss."""
        return lambda: bench.measured(
            min((make(seed) for seed in SEEDS), key=lambda folder: folder.result["val_loss"]), spent
        )

    def members(make: Any) -> list[str]:
        return [str(make(seed).path) for seed in SEEDS]

    def searched() -> dict[str, Any]:
        start = time.monotonic()
        limits = {"max_size_mb": BUDGET_MB, "max_loss_increase_percent": BUDGET_PERCENT}
        try:
            folder = bench.compressed("budget", {"method": "budget", **limits, "max_minutes": 1.4 * minutes})
        except RequirementError as error:
            return {"unmet": str(error)}
        return bench.measured(folder, (time.monotonic() - start) / 60)

    sparse = {"method": "prune", "sparsity": 0.8, "max_minutes": more}
    half = {"method": "prune", "how": "structured", "sparsity": 0.5, "max_minutes": more}
    fewer = half | {"sparsity": 0.3125}  # 352 units of 512: whole groups of 32
    int8, bits4 = {"method": "quantize", "bits": 8}, {"method": "quantize", "bits": 4}
    return {
        "parent": row(lambda: experiments.read_model(bench.parent().run_dir / "model"), 0.0),
        "trained on": row(bench.trained_on, more),
        "int8": variant("int8", int8),
        "4 bits": variant("bits4", bits4),
        "sparse 80 %": variant("sparse", sparse, more),
        "half the units": variant("half", half, more),
        "half, from scratch": row(lambda: bench.trained("half", minutes + more, HIDDEN // 2), minutes + more),
        "half, longer": variant("half-longer", half | {"max_minutes": longer}, longer),
        "longer, from scratch": row(
            lambda: bench.trained("half-longer", minutes + longer, HIDDEN // 2), minutes + longer
        ),
        "longer, trained on": row(lambda: bench.trained_on(minutes=longer), longer),
        "quarter, taught": lambda: bench.measured(
            bench.compressed(
                "quarter", {"method": "distil", "model": {"hidden_size": bench.quarter()}, "max_minutes": student}
            ),
            student,
        ),
        "quarter, alone": row(bench.alone, student),
        "best of the soup": best(bench.trained_on, more),
        "soup": lambda: bench.measured(
            bench.compressed("soup", {"method": "fuse", "members": members(bench.trained_on)}), len(SEEDS) * more
        ),
        "best of three": best(bench.alone, student),
        "best of three, on": row(bench.best_trained_on, (len(SEEDS) + 1) * student),
        "student of three": lambda: bench.measured(
            bench.compressed(
                "three",
                {
                    "method": "fuse",
                    "how": "distil",
                    "members": members(bench.alone),
                    "model": {"hidden_size": bench.quarter()},
                    "max_minutes": student,
                },
            ),
            (len(SEEDS) + 1) * student,
        ),
        "chain": variant("chain", {"method": "chain", "steps": [fewer, bits4]}, more),
        "budget": searched,
    }


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table, and what was wanted."""
    heads = ("size", "smaller", "loss", "change", "vs. trained on", "tokens/s", "faster", "minutes")
    print(f"{'row':20}" + "".join(f"{head:>15}" for head in heads))
    on = rows.get("trained on")
    for name, row in rows.items():
        if "unmet" in row:
            print(f"{name:20}{row['unmet']}")
            continue
        learned = on and row["minutes"] and name != "trained on"
        cells = [
            f"{row['size'] / 1e6:.3f} MB",
            f"{row['smaller']:.2f}×",
            f"{row['loss']:.4f}",
            f"{row['change']:+.2f} %",
            f"{100 * (row['loss'] / on['loss'] - 1):+.2f} %" if on and learned else "",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['faster']:.2f}×",
            f"{row['minutes']:.1f}",
        ]
        print(f"{name:20}" + "".join(f"{cell:>15}" for cell in cells))
    print()
    for name, figure, sign, wanted in WANTED:
        bound = rows.get(wanted, {}).get(figure) if isinstance(wanted, str) else wanted
        if "unmet" in rows.get(name, {}):
            print(f"missed  {name}: {figure} {sign} {bound:.4g}")
        elif name in rows and bound is not None:
            found = rows[name][figure]
            met = found >= bound if sign == ">=" else found <= bound
            of = f" (of {wanted})" if isinstance(wanted, str) else ""
            print(f"{'met' if met else 'missed':8}{name}: {figure} {found:.4g} {sign} {bound:.4g}{of}")


def main() -> None:
    """Measure what is not measured yet, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the parent's training (default: 10)")
    parser.add_argument("--only", metavar="ROW", help="one row by its name")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments.text, arguments.minutes)
    measures = rows_of(bench)
    shown = rows.asked(rows.measured(parser, arguments, measures, bench.folder), arguments.only)
    if arguments.json:
        print(json.dumps(shown))
    else:
        show(shown)


if __name__ == "__main__":
    main()
