"""Limits in place of methods: which compression gives the best model within them, found out on this machine.

In three rounds. Every plan (units removed, weights pruned, bits) is carried out without fine-tuning, which takes
seconds and tells size and speed, both of which stay. Of those that fit, the most promising of different kinds are
fine-tuned a little, for what a plan costs by itself says little of what it costs after learning; the best of them is
fine-tuned for the rest of the time. Of all that was measured the best that fits is taken.

Writes WORK/candidates.json, .md and, where matplotlib is installed, .png, whether something fits or not.
"""

import io
import time
from dataclasses import dataclass, replace
from typing import Literal, get_args

from llmkit.compression import methods
from llmkit.compression.model import Job, Model, increase_percent, measure, written
from llmkit.config import fields, variants
from llmkit.config.variants import Budget, Chain, Method, Prune, Quantize
from llmkit.console import candidates, charts
from llmkit.console.candidates import Row
from llmkit.console.messages import Console
from llmkit.errors import Diverged, InputError, RequirementError
from llmkit.plain import Json
from llmkit.store import artifacts, manifests, new_files
from llmkit.tasks.contract import Task

UNITS = (0.0, 0.25, 0.5)  # shares of the hidden units that go
SPARSITIES = (0.0, 0.5, 0.7, 0.8, 0.9)
FIRST_SHARE = 0.25  # of the time, at most, for the plans without fine-tuning
TRIALS, TRIAL_SHARE = 4, 0.06  # plans that are fine-tuned a little, and the share of the time that each gets
LAST_SHARE = 0.92  # of the time, when the last fine-tuning ends: rounding and measuring come after
# What a plan costs is expected to become so many times less, from no fine-tuning to all of it and from a trial to all
# of it: only to put the plans in an order where the loss alone is limited.
FROM_NONE, FROM_TRIAL = 20, 2


@dataclass(frozen=True)
class Plan:
    """A candidate not yet made: shares of units and weights that go, and how those that stay are rounded (or not)."""

    units: float
    sparsity: float
    quantize: Quantize | None

    @property
    def name(self) -> str:
        """What tables call it."""
        parts = [f"{100 * self.units:.0f} % of the units"] if self.units else []
        parts += [f"{100 * self.sparsity:.0f} % of the weights"] if self.sparsity else []
        pruned = f"without {' and '.join(parts)}" if parts else ""
        return ", ".join(filter(None, [pruned, f"{self.quantize.bits} bits" if self.quantize else ""]))

    @property
    def learns(self) -> bool:
        """Whether fine-tuning makes it better: rounding alone needs none."""
        return bool(self.units or self.sparsity)

    def variant(self, minutes: float | None) -> Chain[Method]:
        """Its settings, with so many minutes of fine-tuning, or none."""
        shares: list[tuple[Literal["structured", "unstructured"], float]]
        shares = [("structured", self.units), ("unstructured", self.sparsity)]
        pruned = [(how, share) for how, share in shares if share]
        amount: Json = {"steps": 0} if minutes is None else {"max_minutes": minutes / max(len(pruned), 1)}
        steps: list[Method] = [Prune(how=how, sparsity=share, **amount) for how, share in pruned]
        return Chain(steps=steps + ([self.quantize] if self.quantize else []))


def plans(task: Task) -> list[Plan]:
    """What is tried, the mildest first; units are removed where the task can, in all numbers of bits that it offers."""
    quantize = variants.quantize_of(task.settings.Config)
    roundings = [quantize(bits=bits) for bits in sorted(get_args(fields.field_type(quantize, "bits")), reverse=True)]
    return [
        Plan(share, sparsity, rounding)
        for share in (UNITS if task.units else (0.0,))
        for rounding in roundings
        for sparsity in (SPARSITIES if rounding.bits == 8 else (0.0,))  # packed weights of 4 bits are not stored sparse
    ]


def search(variant: Budget, model: Model, job: Job) -> Model:
    """The best model within the limits. Raises RequirementError where nothing fits, saying by how little."""
    start, seconds, limits = time.monotonic(), 60 * variant.max_minutes, variant.limits
    unit = job.task.evaluate.UNIT
    rows: list[Row] = []
    best: Model | None = None  # of the rows so far; the others are not kept, they would fill the memory
    tried: dict[str, Plan] = {}

    def add(row: Row, made: Model) -> None:
        nonlocal best
        rows.append(row)
        relate(row, rows[0], limits, unit)
        best = made if choose(rows, limits, unit) is row else best

    def attempt(plan: Plan, minutes: float | None) -> None:
        found = _try(plan, minutes, model, job)
        if found:
            add(*found)
            tried[found[0]["name"]] = plan

    add(_measured("original", model, job), model)
    for plan in plans(job.task):
        if tried and time.monotonic() - start > FIRST_SHARE * seconds:
            job.ui.warn(f"no time to try all plans; the rest come after: {rows[-1]['name']}")
            break
        attempt(plan, None)
    learning = [row for row in rows[1:] if tried[row["name"]].learns]
    if not smallest_wanted(limits) and any(row["fits"] for row in rows if row not in learning):
        learning = []  # rounding alone fits, and costs less loss than anything that removes weights
    for row in one_of_a_kind(promising(learning, limits, unit, FROM_NONE), tried)[:TRIALS]:
        attempt(tried[row["name"]], TRIAL_SHARE * variant.max_minutes)
    trials = [row for row in rows if row.get("fine_tuning_minutes")]
    minutes = (LAST_SHARE * seconds - (time.monotonic() - start)) / 60
    for row in promising(trials, limits, unit, FROM_TRIAL)[:1]:
        if minutes > row["fine_tuning_minutes"]:
            attempt(tried[row["name"]], minutes)
    mark(rows, limits, unit)
    _report(rows, job)
    if best is None:
        raise RequirementError(nearest(rows, limits, unit) + f"; all {len(rows)} candidates: {job.work}")
    [chosen] = [row["name"] for row in rows if row.get("chosen")]
    job.ui.info(f"chosen: {chosen} (of {len(rows)} candidates, see {job.work / 'candidates.md'})")
    steps = sum(record.get("steps", 0) for record in best.done)
    record = {"method": "budget", "chosen": chosen, "steps": steps, "chain": list(best.done)}
    return replace(best, done=(record,))


def _try(plan: Plan, minutes: float | None, model: Model, job: Job) -> tuple[Row, Model] | None:
    """Make and measure a candidate; None where the method does not fit the model."""
    name = plan.name + (f", {minutes:.3g} min of fine-tuning" if minutes else "")
    job.ui.info(f"trying: {name}")
    start = time.monotonic()
    try:
        made = methods.apply(plan.variant(minutes), model, job if minutes else replace(job, ui=Console(0)))
    except (InputError, Diverged) as error:
        job.ui.warn(f"{name}: {error}")
        return None
    seconds = time.monotonic() - start
    return _measured(name, made, job) | {"fine_tuning_minutes": minutes or 0.0, "seconds": seconds}, made


def _measured(name: str, model: Model, job: Job) -> Row:
    figures, speeds = written(model, job, lambda folder: measure(folder, job))
    return {"name": name, **figures, **speeds}


def relate(row: Row, first: Row, limits: dict[str, float], unit: str) -> None:
    """Give a row its figures relative to those of the original, the first row, and whether it fits."""
    row["times_smaller"] = first["size_bytes"] / row["size_bytes"]
    row["times_faster"] = first[f"ms_per_{unit}"] / row[f"ms_per_{unit}"]
    row["val_loss_increase_percent"] = increase_percent(row["val_loss"], first["val_loss"])
    row["fits"] = not misses(row, limits, unit)


def mark(rows: list[Row], limits: dict[str, float], unit: str) -> None:
    """Mark the Pareto front (no other row is as good in size, speed and loss, and better in one) and the choice."""
    points: list[tuple[float, ...]] = [(row["size_bytes"], row[f"ms_per_{unit}"], row["val_loss"]) for row in rows]
    for row, on_front in zip(rows, pareto(points), strict=True):
        row["pareto"] = on_front
    chosen = choose(rows, limits, unit)
    if chosen:
        chosen["chosen"] = True


def pareto(points: list[tuple[float, ...]]) -> list[bool]:
    """For each point whether no other is as small in all numbers and smaller in one."""
    return [
        not any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points)
        for point in points
    ]


def _limited(unit: str) -> dict[str, tuple[str, float]]:
    """{limit: (figure, what it is divided by)}."""
    return {
        "max_size_mb": ("size_bytes", 1e6),
        f"max_ms_per_{unit}": (f"ms_per_{unit}", 1.0),
        "max_loss_increase_percent": ("val_loss_increase_percent", 1.0),
    }


def misses(row: Row, limits: dict[str, float], unit: str) -> dict[str, float]:
    """{limit: the row's figure} of the limits that a row misses."""
    values = {limit: row[figure] / divisor for limit, (figure, divisor) in _limited(unit).items() if limit in limits}
    return {limit: value for limit, value in values.items() if value > limits[limit]}


def promising(rows: list[Row], limits: dict[str, float], unit: str, times_less: float) -> list[Row]:
    """The rows that are worth (more) fine-tuning, in their order: those that fit but for the loss.

    In the order of their loss; where only the loss is limited, in that of their size, without those whose loss would
    not fit if fine-tuning made the increase so many times less.
    """
    hard = {limit: value for limit, value in limits.items() if limit != "max_loss_increase_percent"}
    fitting = [row for row in rows if not misses(row, hard, unit)]
    if not smallest_wanted(limits):
        return sorted(fitting, key=lambda row: row["val_loss"])
    most = limits["max_loss_increase_percent"] * times_less
    return sorted(
        (row for row in fitting if row["val_loss_increase_percent"] <= most), key=lambda row: row["size_bytes"]
    )


def one_of_a_kind(rows: list[Row], tried: dict[str, Plan]) -> list[Row]:
    """Of the rows whose plans differ in the weights pruned alone, the first."""
    kinds: dict[tuple[float, Quantize | None], Row] = {}
    for row in rows:
        plan = tried[row["name"]]
        kinds.setdefault((plan.units, plan.quantize), row)
    return list(kinds.values())


def choose(rows: list[Row], limits: dict[str, float], unit: str) -> Row | None:
    """Of the rows that fit the one of least loss, or the smallest where only the loss is limited."""
    fitting = [row for row in rows if not misses(row, limits, unit)]
    by = "size_bytes" if smallest_wanted(limits) else "val_loss"
    return min(fitting, key=lambda row: row[by], default=None)


def smallest_wanted(limits: dict[str, float]) -> bool:
    """Whether the smallest model is wanted, not the one of least loss: where the loss alone is limited."""
    return set(limits) == {"max_loss_increase_percent"}


def nearest(rows: list[Row], limits: dict[str, float], unit: str) -> str:
    """What a person wants to know where nothing fits: the candidate that misses least, in shares of the limits."""

    def excess(row: Row) -> float:
        return max(value / max(limits[limit], 1e-9) for limit, value in misses(row, limits, unit).items())

    row = min(rows, key=excess)
    missed = [
        f"{limit.removeprefix('max_')} is {value:.4g}, {value - limits[limit]:.3g} above {limit} {limits[limit]:g}"
        for limit, value in misses(row, limits, unit).items()
    ]
    return f"nothing fits; nearest is {row['name']}: {'; '.join(missed)}"


def _report(rows: list[Row], job: Job) -> None:
    artifacts.make_folder(job.work)
    artifacts.write_json(job.work / "candidates.json", manifests.plain(rows))
    artifacts.write_bytes(job.work / "candidates.md", candidates.markdown(rows).encode())
    picture, drawn = job.work / "candidates.png", io.BytesIO()
    with artifacts.writing(picture):
        if charts.trade_offs(rows, drawn):
            new_files.write_bytes(picture, drawn.getvalue())
