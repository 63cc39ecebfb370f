"""What each default of `task: language` is worth: trainings that differ from the default in one thing.

    python benchmarks/ablations.py --text FILE [--steps 3000] [--only "batch 64 × 64"] [--again] [--markdown]

The first 90 % of the text is trained on, the last 10 % is scored with carried state; every row reads the same number
of characters with a schedule of its own (3,000 steps of the default are about three minutes). Finished rows are taken
from runs/benchmarks/ablations-STEPS/results.json. --markdown prints a table for a page.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import rows

from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language.settings import Config

# What differs from the default in each row: keys of `model` and `train`.
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "AdamW for all weights": {"train.optimizer": "adamw"},
    "AdamW, batch 16 × 64": {"train.optimizer": "adamw", "train.batch_size": 16},
    "batch 16 × 64": {"train.batch_size": 16},
    "batch 64 × 64": {"train.batch_size": 64},
    "windows of 96": {"train.sequence_length": 96},
    "no dropout": {"model.dropout": 0.0, "model.input_dropout": 0.0, "model.recurrent_dropout": 0.0},
    "dropout of 20 passes": {"model.dropout": 0.25, "model.input_dropout": 0.05, "model.recurrent_dropout": 0.15},
    "states always carried": {"train.state_resets": 0.0},
    "embedding of 128": {"model.embedding_size": 128},
    "half the learning rate": {"train.learning_rate": 0.5},
    "twice the learning rate": {"train.learning_rate": 2.0},
    "ten times the weight decay": {"train.weight_decay": 0.1},
    "float32": {"train.number_type": "float32"},
    "hidden 384": {"model.hidden_size": 384},
    "hidden 512": {"model.hidden_size": 512},
    "2 layers of 304": {"model.hidden_size": 304, "model.layers": 2},
}
RELATIVE = {"train.learning_rate"}  # values of this key above are factors of the default


def measure(name: str, text: Path, steps: int, folder: Path) -> dict[str, Any]:
    """Train one row; returns seconds, tokens per second and the validation loss."""
    settings = to_data(Config())
    sections: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    for key, value in ROWS[name].items():
        section, last = key.split(".")
        sections[section][last] = value * settings[section][last] if key in RELATIVE else value
    default = settings["train"]["batch_size"] * settings["train"]["sequence_length"]
    chosen = settings["train"] | sections["train"]
    sections["train"] |= {
        "steps": round(steps * default / (chosen["batch_size"] * chosen["sequence_length"])),
        "patience": 0,
    }
    path = folder / "config.yaml"
    prepared = {"files": str(text), "split": {"val": 0.1, "test": 0.0}}
    path.write_text(json.dumps({"run_dir": str(folder / "run"), "prepare": prepared, **sections}), encoding="utf-8")
    config = experiments.load(path)
    prepare(config, ui=Console())
    result = train(config, force=True, fresh=True, ui=Console())
    return {key: result[key] for key in ("seconds", "tokens_per_second", "val_loss", "parameters", "number_type")}


def show(rows: dict[str, dict[str, Any]], markdown: bool) -> None:
    """Print the table; differences are from the default's row."""
    heads = ["change", "nats", "worse by", "seconds", "tokens/s", "parameters"]
    form = "| {} | {} | {} | {} | {} | {} |" if markdown else "{:28}{:>8}{:>10}{:>9}{:>10}{:>12}"
    print(form.format(*heads))
    if markdown:
        print("| --- | --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        worse = f"{row['val_loss'] - rows['default']['val_loss']:+.4f}" if "default" in rows else ""
        figures = [f"{row['val_loss']:.4f}", worse, f"{row['seconds']:.0f}", f"{row['tokens_per_second']:,.0f}"]
        print(form.format(name, *figures, f"{row['parameters']:,}"))


def main() -> None:
    """Measure what is not measured yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000, help="of the default's batch (default: %(default)s)")
    parser.add_argument("--only", help=f"one row: {', '.join(ROWS)}")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    folder = Path(f"runs/benchmarks/ablations-{arguments.steps}")
    measures = {name: lambda name=name: measure(name, arguments.text, arguments.steps, folder) for name in ROWS}
    show(rows.measured(parser, arguments, measures, folder), arguments.markdown)


if __name__ == "__main__":
    main()
