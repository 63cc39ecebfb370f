"""llmkit on the hourly series of the M4 competition, beside forecasts that nobody has to learn and statsforecast's.

    python benchmarks/series.py --m4 FOLDER [--only llmkit] [--again] [--json] [section.key=value ...]

FOLDER holds m4-hourly-train.csv and m4-hourly-test.csv, a row for each of 414 series: its name, then its values
(https://github.com/Mcompetitions/M4-methods; Makridakis et al., 2020). 48 hours ahead, a season of 24. llmkit has its
defaults, which were chosen on the last two days of the training file alone; it learns from all but those two days, by
which it chooses the best weights and how wide intervals are, and forecasts from the end of the training file; the
others learn from all of it.

Figures are means over the series: `mase` by the seasonal differences of the training file, `smape` in percent, `wql`
over the quantiles 0.1 to 0.9, `coverage_95` of the interval of 95 %. `seconds` are those of training or, for what is
fitted to each series, of all forecasts; `ms_per_forecast` of one by itself. statsforecast's rows are there where it is
installed. Finished rows are kept in benchmarks/results/series; overrides make rows anew with --again.
"""

import argparse
import csv
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rows as finished

from llmkit.console.messages import Console
from llmkit.predicting import forecast_metrics
from llmkit.predicting.forecast_metrics import LEVELS, Truth, seasonal_scale
from llmkit.stages.compress import compress
from llmkit.stages.evaluate import evaluate
from llmkit.stages.models import read
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments
from llmkit.tasks.series import baselines
from llmkit.training import processors

RESULTS = Path(__file__).parent / "results" / "series"
HORIZON, SEASON = 48, 24
FIGURES = ("mase", "smape", "wql", "coverage_80", "coverage_95", "msis")
CONFIG = {
    "task": "series",
    "seed": 1,
    "prepare": {"season": SEASON, "horizon": HORIZON, "split": {"val": 1, "test": 1}},
}
Row = dict[str, Any]
Series = list[tuple[str, np.ndarray, np.ndarray]]
"""Name, past and future of each."""


def load(folder: Path) -> Series:
    """The series of the competition. Ends the program where the files are not there."""
    found: list[dict[str, list[str]]] = []
    for part in ("train", "test"):
        path = folder / f"m4-hourly-{part}.csv"
        if not path.exists():
            raise SystemExit(
                f"{path} is not there; --m4 names the folder of m4-hourly-train.csv and m4-hourly-test.csv"
            )
        with path.open(newline="") as file:
            found.append({row[0]: [value for value in row[1:] if value] for row in list(csv.reader(file))[1:]})
    past, future = found
    return [(name, np.array(past[name], float), np.array(future[name], float)) for name in past]


def figures(series: Series, quantiles: np.ndarray) -> Row:
    """The figures of quantiles (N, H, Q)."""
    scales = np.array([seasonal_scale(past, SEASON) for _, past, _ in series])
    truth = Truth(np.array([future for _, _, future in series]), np.arange(len(series)), scales)
    found = forecast_metrics.of_quantiles(truth, quantiles)
    return {name: found[name] for name in FIGURES}


def ours(series: Series, overrides: list[str]) -> Row:
    """llmkit's figures, with those of its int8 variant."""
    data = RESULTS / "m4-hourly.csv"
    data.parent.mkdir(parents=True, exist_ok=True)
    longest = max(len(past) + len(future) for _, past, future in series)
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *(f"V{number}" for number in range(1, longest + 1))])
        for name, past, future in series:
            values = [*past.tolist(), *future.tolist()]
            writer.writerow([name, *values, *[""] * (longest - len(values))])
    file_of_config = RESULTS / "m4-hourly.yaml"
    sections = {**CONFIG, "run_dir": str(RESULTS / "run"), "prepare": {**CONFIG["prepare"], "files": str(data)}}  # type: ignore[dict-item]
    file_of_config.write_text(json.dumps(sections))  # JSON is YAML
    config = experiments.load(file_of_config, overrides)
    quiet = Console(0)
    prepare(config, ui=quiet)
    result = train(config, ui=quiet)
    compress(config, ["int8"], ui=quiet)
    plain, int8 = evaluate([read(config, name, print) for name in ("model", "int8")], config, ui=quiet)["models"]
    found = {name: plain[name] for name in (*FIGURES, "size_bytes", "ms_per_forecast")}
    found |= {f"int8_{name}": int8[name] for name in ("mase", "size_bytes", "ms_per_forecast")}
    return found | {"seconds": result["seconds"], "overrides": overrides}


def naive(series: Series, seasonal: bool) -> Row:
    """Figures of the season before, or of the last value, with the spread of changes in the past."""
    start = time.perf_counter()
    found = [
        baselines.seasonal_naive(past, HORIZON, SEASON) if seasonal else baselines.naive(past, HORIZON)
        for _, past, _ in series
    ]
    seconds = time.perf_counter() - start
    return figures(series, np.array(found)) | {"seconds": seconds, "ms_per_forecast": 1000 * seconds / len(series)}


def of_statsforecast(series: Series, name: str) -> Row:
    """Figures of one of statsforecast's models, fitted to each series."""
    from statsforecast import models

    widths = sorted({round(100 * (1 - 2 * min(level, 1 - level))) for level in LEVELS if level != 0.5})
    found, start = [], time.perf_counter()
    for _, past, _ in series:
        periods = [SEASON, 168] if name == "MSTL" else SEASON
        given = getattr(models, name)(season_length=periods)
        forecast = given.forecast(y=past, h=HORIZON, level=widths)
        columns = []
        for level in LEVELS:
            width = round(100 * (1 - 2 * min(level, 1 - level)))
            columns.append(forecast["mean"] if level == 0.5 else forecast[f"{'lo' if level < 0.5 else 'hi'}-{width}"])
        found.append(np.stack(columns, axis=1))
    seconds = time.perf_counter() - start
    return figures(series, np.array(found)) | {"seconds": seconds, "ms_per_forecast": 1000 * seconds / len(series)}


def main() -> None:
    """Measure, print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--m4", type=Path, required=True, metavar="FOLDER", help="of the competition's hourly series")
    parser.add_argument("--only", help="measure this row alone")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings of llmkit's row")
    arguments = parser.parse_args()
    series = load(arguments.m4)
    measures: dict[str, Callable[[], Row]] = {
        "llmkit": partial(ours, series, arguments.overrides),
        "seasonal naive": partial(naive, series, True),
        "naive": partial(naive, series, False),
    }
    if importlib.util.find_spec("statsforecast"):
        for name in ("AutoETS", "AutoTheta", "MSTL", "AutoARIMA"):
            measures[name] = partial(of_statsforecast, series, name)
    found = finished.asked(finished.measured(parser, arguments, measures, RESULTS), arguments.only)
    if arguments.json:
        listed = [{"row": name, **row} for name, row in found.items()]
        print(json.dumps({"processor": processors.this().name, "rows": listed}))
        return
    shown = [*FIGURES, "size_bytes", "seconds", "ms_per_forecast"]
    print(f"{processors.this().name}\n{'':16}" + "".join(f"{name:>17}" for name in shown))
    for name, row in found.items():
        print(f"{name:16}" + "".join(f"{row[key]:17,.4f}" if key in row else f"{'-':>17}" for key in shown))


if __name__ == "__main__":
    main()
