"""How many planted faults the alarms of `task: series` find, and how many alarms are false.

    python data/fetch.py household
    python benchmarks/alarms.py [--alarms-per-day 0.14] [--json]

`configs/household.yaml` is prepared and trained as it is. Then faults are planted in the half year kept for the test,
each by itself, at 50 moments drawn by a seed: the meter stands still for a day, one hour is three times the largest of
the training, the power is a kilowatt higher for two days, or 1.5 kilowatts higher from one to five at night. A fault is
found if there is an alarm from its first hour to a day after its last.
`false_alarms_per_week` are those of the half year without any fault; `precision` is the share of true alarms where one
fault of the kind comes every four weeks.

Finished trainings are used again; `--again` trains anew.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import llmkit
from llmkit.console.messages import Console
from llmkit.data import series_times
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.series import prepare as series
from llmkit.tasks.series.use import Forecaster, after
from llmkit.training import processors

ROOT = Path(__file__).parent.parent
CONFIG, RUN = ROOT / "configs" / "household.yaml", ROOT / "benchmarks" / "results" / "alarms"
DAY, WEEK = 24, 7 * 24  # hours
PLACES = 50
BEFORE = 28 * DAY  # hours that the model sees before a fault
SEED = 1


def stuck(values: np.ndarray, at: int, largest: float) -> int:
    """The meter repeats its last value for a day."""
    values[at : at + DAY] = values[at - 1]
    return DAY


def spike(values: np.ndarray, at: int, largest: float) -> int:
    """One hour of three times the largest value."""
    values[at] = 3 * largest
    return 1


def shift(values: np.ndarray, at: int, largest: float) -> int:
    """A kilowatt more for two days."""
    values[at : at + 2 * DAY] += 1.0
    return 2 * DAY


def night(values: np.ndarray, at: int, largest: float) -> int:
    """1.5 kilowatts more from one to five at night."""
    values[at : at + 4] += 1.5
    return 4


FAULTS: dict[str, Callable[[np.ndarray, int, float], int]] = {
    "stuck meter": stuck,
    "spike": spike,
    "shift": shift,
    "night load": night,
}


def main() -> None:
    """Train where there is no model, plant, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms-per-day", type=float, default=0.14, metavar="N", help="default: 0.14, one a week")
    parser.add_argument("--again", action="store_true", help="train anew")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    config = experiments.load(CONFIG, [f"run_dir={RUN}"], {})
    if not (RUN / "model").exists() or given.again:
        prepare(config, ui=Console(0))
        train(config, ui=Console(0))
    model = llmkit.load(RUN / "model")
    values, about = series.read(artifacts.read(RUN / "prepared"))
    found = measured(model, values[0], about, given.alarms_per_day)
    found = {"processor": processors.this().name, **found}
    print(json.dumps(found) if given.json else as_text(found))


def measured(model: Forecaster, values: np.ndarray, about: series.About, alarms_per_day: float) -> dict[str, Any]:
    """{"false_alarms_per_week", "rows": [{"row", "found", "hours_late", "precision"}]}."""
    split = model.folder.settings.prepare.split
    first = series.test_from(len(values), about.horizon, split)
    largest = float(np.nanmax(values[:first]))

    def alarms(seen: np.ndarray, begin: int) -> np.ndarray:
        """Hours (N,) of the alarms in values from hour `begin` of the series on."""
        start = series_times.following(about.begins[0] or 0.0, about.step, begin + 1)[-1]
        judged = model.judged(after("household", seen, float(start), about.step), alarms_per_day)
        late = len(seen) - len(judged["alarm"])
        return np.array([begin + late + k for k, alarm in enumerate(judged["alarm"]) if alarm], np.int64)

    quiet = alarms(values[first - BEFORE :], first - BEFORE)
    quiet = quiet[quiet >= first]
    weeks = (len(values) - first) / WEEK
    generator, rows = np.random.default_rng(SEED), []
    days = (len(values) - first) // DAY - 4
    for name, plant in FAULTS.items():
        found, late, true, kept = 0, [], 0, 0
        for day in generator.choice(np.arange(1, days), PLACES, replace=False):
            hour = 1 if plant is night else int(generator.integers(DAY))
            at = first + int(day) * DAY + (hour - _clock(about, first)) % DAY
            seen = values[at - BEFORE : at + 3 * DAY].copy()
            if np.isnan(seen[BEFORE - 1 :]).any():
                continue
            kept += 1
            end = at + plant(seen, BEFORE, largest) + DAY
            hours = alarms(seen, at - BEFORE)
            hours = hours[(hours >= at) & (hours < end)]
            found, true = found + bool(len(hours)), true + len(hours)
            late += [int(hours[0]) - at] if len(hours) else []
        wrong = 4 * len(quiet) / weeks  # in the four weeks around each fault
        rows.append(
            {
                "row": name,
                "planted": kept,
                "found": found / kept,
                "hours_late": float(np.median(late)) if late else None,
                "precision": (true / kept) / (true / kept + wrong) if true else 0.0,
            }
        )
    return {"alarms_per_day": alarms_per_day, "false_alarms_per_week": len(quiet) / weeks, "rows": rows}


def _clock(about: series.About, hour: int) -> int:
    """The hour of the day of an hour of the series."""
    return round(((about.begins[0] or 0.0) + hour * about.step) % (DAY * about.step) / about.step)


def as_text(found: dict[str, Any]) -> str:
    """A table."""
    lines = [
        f"{found['processor']}; budget {found['alarms_per_day']} alarms a day, "
        f"without faults {found['false_alarms_per_week']:.2f} a week",
        f"{'fault':14}{'planted':>9}{'found':>8}{'hours late':>12}{'precision':>11}",
    ]
    for row in found["rows"]:
        late = "-" if row["hours_late"] is None else f"{row['hours_late']:.0f}"
        lines.append(f"{row['row']:14}{row['planted']:9}{row['found']:8.0%}{late:>12}{row['precision']:11.0%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
