"""Pictures for people, drawn where the extra `report` (matplotlib) is installed."""

import json
from importlib.util import find_spec
from pathlib import Path


def loss_curve(metrics: Path, picture: Path) -> bool:
    """Training and validation loss over steps, from a metrics.jsonl; returns whether it was drawn.

    Not drawn where matplotlib is missing or there are fewer than two validations.
    """
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    if len(records) < 2 or find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    steps = [record["step"] for record in records]
    axes.plot(steps, [record["train_loss"] for record in records], marker=".", label="training (running mean)")
    axes.plot(steps, [record["val_loss"] for record in records], marker="o", label="validation")
    axes.set(xlabel="optimizer steps", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)
    return True
