"""Pictures for people, drawn where the extra `report` (matplotlib) is installed."""

from importlib.util import find_spec
from typing import BinaryIO

from llmkit.console import candidates
from llmkit.console.candidates import Row


def loss_curve(records: list[Row], picture: BinaryIO) -> bool:
    """Training and validation loss over steps, of the records of a metrics.jsonl; returns whether it was drawn.

    Not drawn where matplotlib is missing or there are fewer than two validations.
    """
    if len(records) < 2 or find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    steps = [record["step"] for record in records]
    if all(record["train_loss"] is not None for record in records):  # a private training tells none
        axes.plot(steps, [record["train_loss"] for record in records], marker=".", label="training (running mean)")
    axes.plot(steps, [record["val_loss"] for record in records], marker="o", label="validation")
    axes.set(xlabel="optimizer steps", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120, format="png")
    return True


def trade_offs(rows: list[Row], picture: BinaryIO) -> bool:
    """Size against loss and speed against loss of a budget's candidates; returns whether it was drawn.

    Rows as in `candidates`, the original's first. Not drawn where matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    speed = candidates.speed(rows)
    unit = speed.removeprefix("ms_per_")
    figure = Figure(figsize=(10, 4), layout="constrained")
    size_axes, speed_axes = figure.subplots(1, 2, sharey=True)
    kinds: dict[str, list[Row]] = {"chosen": [], "Pareto front": [], "others": []}
    for row in rows:
        marks = candidates.marks(row)
        kinds["chosen" if "chosen" in marks else "Pareto front" if "pareto" in marks else "others"].append(row)
    for (label, some), marker in zip(kinds.items(), "*o.", strict=True):
        losses = [row["val_loss"] for row in some]
        size_axes.plot([row["size_bytes"] / 1e6 for row in some], losses, marker, label=label, markersize=9)
        speed_axes.plot([1000 / row[speed] for row in some], losses, marker, label=label, markersize=9)
    size_axes.set(xlabel="size (MB)", ylabel="validation loss", xscale="log")
    speed_axes.set(xlabel=f"{unit}s per second, one stream", xscale="log")
    for axes in (size_axes, speed_axes):
        axes.axhline(rows[0]["val_loss"], color="grey", linewidth=0.8)  # the original's
        axes.grid(alpha=0.3)
    size_axes.legend()
    figure.savefig(picture, dpi=120, format="png")
    return True
