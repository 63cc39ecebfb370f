"""llmkit's generator of digits against the plain DCGAN, and what int8 costs it.

    python benchmarks/image.py [--minutes 3] [--only "DCGAN"] [--again] [--json]

Needs the data (python data/fetch.py digits). 4,000 pictures are learnt from; figures are of the test split as `llmkit
evaluate` has them, of the same count of pictures on each side and by the same features for every row:

    Fréchet, of floor    Fréchet distance, and how many times that of real against real (training against test pictures)
    KID, precision, recall
    steps, minutes       of training, by this machine's clock; llmkit's minutes include its validations
    size, ms, images/s   of the model folder, for one picture by itself, and in batches

Rows: "real", "DCGAN" (benchmarks/dcgan.py, 64 base filters), "llmkit" (configs/digits.yaml as it stands, but for the
minutes), "int8" (the same, compressed) and "llmkit, 5x" (five times the minutes). Below the table stands what was
wanted of each row, and what came of it. Finished rows are taken from runs/benchmarks/image-MINUTES/results.json;
--again does them anew. Grids of pictures lie beside it. Nothing else should run on the machine.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import rows

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console.messages import Console
from llmkit.data.grid import grid, png
from llmkit.stages.compress import compress
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts, model_folder
from llmkit.tasks import experiment as experiments
from llmkit.tasks.image import evaluate, prepare as task, use
from llmkit.tasks.image.features import Features

CONFIG = Path(__file__).parents[1] / "configs" / "digits.yaml"
FILTERS, LONGER = 64, 5
SEED = 1

# What the table is to show: (row, figure, whether it is at least or at most, value or (factor, row of that figure)).
WANTED: list[tuple[str, str, str, float | tuple[float, str]]] = [
    ("llmkit", "frechet_distance", "<=", (1 / 3, "DCGAN")),
    ("llmkit, 5x", "frechet_distance", "<=", (10, "real")),
    ("llmkit, 5x", "precision", ">=", 0.6),
    ("llmkit, 5x", "recall", ">=", 0.6),
    ("int8", "frechet_distance", "<=", (1.05, "llmkit")),
    ("int8", "latency_ms", "<=", (1, "llmkit")),
    ("int8", "size_bytes", "<=", (1, "llmkit")),
]
FIGURES = ("frechet_distance", "kid", "precision", "recall")


class Bench:
    """The run directories, which share one prepared folder."""

    def __init__(self, minutes: float):
        self.minutes = minutes
        self.folder = Path(f"runs/benchmarks/image-{minutes:g}")
        self.ui = Console()

    def config(self, minutes: float) -> experiments.Experiment:
        """configs/digits.yaml for so many minutes, prepared."""
        place = self.folder / f"{minutes:g}-minutes"
        loaded = experiments.load(CONFIG, [f"run_dir={place}", f"train.max_minutes={minutes}"])
        prepare(loaded, ui=self.ui)
        return loaded

    def prepared(self, minutes: float) -> artifacts.Artifact:
        """The prepared data of a run directory."""
        return artifacts.read(self.config(minutes).run_dir / "prepared")

    def model(self, minutes: float) -> model_folder.ModelFolder:
        """llmkit's model, trained where it is not yet."""
        config = self.config(minutes)
        train(config, ui=self.ui)
        return experiments.read_model(config.run_dir / "model")

    def measured(self, folder: model_folder.ModelFolder, minutes: float, name: str) -> dict[str, Any]:
        """The row of a model folder."""
        config = self.config(minutes)
        examples = evaluate.of_split(folder, self.prepared(minutes), config.settings.evaluate.split)
        found = evaluate.metrics(folder, examples, config.settings, self.ui.progress, self.ui.warn)
        self.ui.close()
        self.draw(name, use.load(folder).generate(100, SEED))
        steps = experiments.read_model(config.run_dir / "model").result["steps"]
        return found | {"steps": steps, "minutes": minutes}

    def real(self) -> dict[str, Any]:
        """Training pictures in place of made ones."""
        held_out, others, _ = self.features()
        return evaluate.rounds(held_out, others, lambda count, number: others[:count])["real_floor"]

    def dcgan(self) -> dict[str, Any]:
        """The plain DCGAN after the same minutes."""
        import dcgan
        import torch

        from llmkit.tasks.image.feature_network import scaled

        pixels, _ = task.pictures_of(self.prepared(self.minutes), "train")
        start = time.monotonic()
        generator, steps = dcgan.train(torch.from_numpy(scaled(pixels)), 60 * self.minutes, FILTERS, SEED)
        minutes = (time.monotonic() - start) / 60
        self.draw("dcgan", dcgan.make(generator, 100, SEED))
        held_out, others, network = self.features()
        found = evaluate.rounds(
            held_out, others, lambda count, number: network.of(dcgan.make(generator, count, number))
        )
        return found | {"steps": steps, "minutes": minutes}

    def features(self) -> tuple[np.ndarray, np.ndarray, Features]:
        """(features of the test pictures, of the training pictures, the network that gives them)."""
        prepared = self.prepared(self.minutes)
        network = Features(prepared)
        held_out, others = (network.of(task.pictures_of(prepared, name)[0]) for name in ("test", "train"))
        return held_out, others, network

    def draw(self, name: str, pixels: np.ndarray) -> None:
        """A grid of pictures, for people."""
        (self.folder / f"{name}.png").write_bytes(png(grid(pixels, 10)))


def rows_of(bench: Bench) -> dict[str, Any]:
    """{row: what makes it, returning its figures}; a row that another needs is made with it."""
    minutes = bench.minutes

    def int8() -> dict[str, Any]:
        bench.model(minutes)
        config = bench.config(minutes)
        compress(config, ["int8"], ui=bench.ui)
        return bench.measured(experiments.read_model(config.run_dir / "compressed" / "int8"), minutes, "int8")

    return {
        "real": bench.real,
        "DCGAN": bench.dcgan,
        "llmkit": lambda: bench.measured(bench.model(minutes), minutes, "llmkit"),
        "int8": int8,
        f"llmkit, {LONGER}x": lambda: bench.measured(bench.model(LONGER * minutes), LONGER * minutes, "llmkit-longer"),
    }


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table, and what was wanted."""
    heads = ("Fréchet", "of floor", "KID", "precision", "recall", "steps", "minutes", "size", "ms", "images/s")
    print(f"{'row':14}" + "".join(f"{head:>11}" for head in heads))
    for name, row in rows.items():
        floor = row.get("real_floor", row)["frechet_distance"]
        cells = [f"{row['frechet_distance']:.3f}", f"{row['frechet_distance'] / floor:.2f}×", f"{row['kid']:.4f}"]
        cells += [f"{row['precision']:.3f}", f"{row['recall']:.3f}"]
        cells += [f"{row['steps']:,}", f"{row['minutes']:.1f}"] if "steps" in row else ["", ""]
        if "size_bytes" in row:
            cells += [f"{row['size_bytes'] / 1e6:.3f} MB", f"{row['latency_ms']:.3f}"]
            cells.append(f"{row['images_per_second']:,.0f}")
        print(f"{name:14}" + "".join(f"{cell:>11}" for cell in cells))
    print()
    for name, figure, sign, wanted in WANTED:
        factor, other = wanted if isinstance(wanted, tuple) else (1.0, None)
        bound = rows.get(other, {}).get(figure) if other else wanted
        if name in rows and isinstance(bound, float | int):
            found, bound = rows[name][figure], factor * bound
            met = found >= bound if sign == ">=" else found <= bound
            of = f" ({factor:.3g} × {other})" if other else ""
            print(f"{'met' if met else 'missed':8}{name}: {figure} {found:.4g} {sign} {bound:.4g}{of}")


def main() -> None:
    """Measure what is not measured yet, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="of training (default: 3)")
    parser.add_argument("--only", metavar="ROW", help="one row by its name")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments.minutes)
    measures = rows_of(bench)
    shown = rows.asked(rows.measured(parser, arguments, measures, bench.folder), arguments.only)
    if arguments.json:
        print(json.dumps(shown))
    else:
        show(shown)


if __name__ == "__main__":
    main()
