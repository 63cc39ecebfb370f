"""`llmkit generate` for series: past values in, forecasts with quantiles out."""

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from llmkit.config import json_text
from llmkit.console import tables, terminal
from llmkit.console.callbacks import Warn
from llmkit.data import histories
from llmkit.data.file_kinds import format_at_use
from llmkit.data.rows import Row, read_rows, rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.output import check_text
from llmkit.report import charts, html
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.series import anomaly_output, prepare, use
from llmkit.tasks.series.settings import Generate, Prepare
from llmkit.tasks.series.use import Forecaster, Past

SHOWN_ROWS = 200  # of a table for people
MOST_CHARTS = 50
SHOWN_PAST = 4  # horizons of the past in a chart
COLUMNS = {"lower_95": "0.025", "lower_80": "0.1", "median": "0.5", "upper_80": "0.9", "upper_95": "0.975"}


def requests(settings: Generate, folder: ModelFolder) -> list[Past]:
    """The series of `prompt` and `prompt_file`; without either, those that the model was made of.

    Raises ConfigError and InputError.
    """
    given = settings.prompt
    prompts = [] if given is None else [given] if isinstance(given, str) else list(given)
    check_text(prompts)
    path = settings.prompt_file
    if path == "-":
        prompts, path = [*prompts, "-"], None
    how, step = folder.settings.prepare, use.forecasting.read(folder).step
    found: list[Past] = []
    for number, prompt in enumerate(prompts, 1):
        if prompt == "-":
            data = io.BytesIO(sys.stdin.buffer.read())
            rows = read_rows(data, "standard input", format=how.format, encoding=how.encoding, delimiter=how.delimiter)
            found += _of_rows(rows, how, "standard input")
        else:
            found.append(use.past_of(_parsed(prompt), number, step))
    if path:
        kind = format_at_use(Path(path), how.format)
        found += _of_rows(
            rows_of_files([Path(path)], format=kind, encoding=how.encoding, delimiter=how.delimiter), how, path
        )
    return found


def answer(
    model: Forecaster, requests: list[Past], settings: Generate, seed: int, warn: Warn, emit: Emit | None = None
) -> Answers:
    """{"forecasts": [{name, times, median, quantiles, past}], …}, or {"anomalies": […], …}."""
    pasts = requests or model.ends()
    if settings.anomalies:
        return anomaly_output.answer(model, pasts, settings, seed, warn)
    horizon, own = settings.horizon or model.about.horizon, model.about.horizon
    if horizon > own:
        warn(f"the model forecasts {own} steps at once; beyond them it goes on from its own forecast")
    if short := [past.name for past in pasts if len(past.values) < model.about.season]:
        warn(
            f"{len(short):,} series, such as '{short[0]}', have less than a season of {model.about.season} past "
            "values: their forecasts are guesses"
        )
    start = time.perf_counter()
    found = model.forecasts(pasts, horizon)
    seconds = time.perf_counter() - start
    shown = SHOWN_PAST * model.about.horizon
    for forecast, past in zip(found, pasts, strict=True):
        forecast["past"] = [None if np.isnan(v) else v for v in past.values[-shown:].tolist()]
    return Answers(
        {
            "forecasts": found,
            "horizon": horizon,
            "output": settings.output,
            "seconds": seconds,
            "ms_per_forecast": 1000 * seconds / len(found),
            "engine": "onnxruntime",
            "seed": seed,
        }
    )


def items(result: Json) -> list[Json]:
    """A line for each series, or for each value that was judged."""
    return anomaly_output.items(result) if "anomalies" in result else result["forecasts"]


def show(result: Json, emitted: bool, named: bool) -> None:
    """Print the forecasts as `generate.output` says; `named`: say whose they are."""
    if result["output"] == "jsonl":
        for item in items(result):
            terminal.write(json.dumps(item, ensure_ascii=False))
        return
    if result["output"] == "html":
        return terminal.write(anomaly_output.page(result) if "anomalies" in result else _page(result))
    if named:
        terminal.show(f"--- {result['model']}")
    if "anomalies" in result:
        return anomaly_output.show(result)
    head = ["series", "step", "time", *COLUMNS]
    if result["output"] == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *_rows(result, repr)])
        terminal.write(text.getvalue(), end="")
        return
    rows = list(_rows(result, "{:.6g}".format))
    tables.table(head, rows[:SHOWN_ROWS])
    if len(rows) > SHOWN_ROWS:
        terminal.show(f"… and {len(rows) - SHOWN_ROWS:,} more rows: --output csv has all")


def summary(result: Json) -> str:
    """The closing message."""
    if "anomalies" in result:
        return anomaly_output.summary(result)
    count = len(result["forecasts"])
    what = "forecast" if count == 1 else "forecasts"
    return f"{count:,} {what} of {result['horizon']} steps, {result['ms_per_forecast']:.2f} ms each"


def _rows(result: Json, number: Callable[[float], str]) -> Iterator[list[str]]:
    for forecast in result["forecasts"]:
        times = forecast["times"] or [""] * result["horizon"]
        columns = [forecast["quantiles"][level] for level in COLUMNS.values()]
        for step, (moment, *values) in enumerate(zip(times, *columns, strict=True), 1):
            yield [forecast["name"], str(step), moment, *(number(value) for value in values)]


def _page(result: Json) -> str:
    """The forecasts as pictures: the past, the median, and the bands of 80 and 95 %."""
    sections = [
        Section(item["name"], f"<figure>{charts.forecast(item['past'], item['quantiles'])}</figure>")
        for item in result["forecasts"][:MOST_CHARTS]
    ]
    if (more := len(result["forecasts"]) - MOST_CHARTS) > 0:
        sections.append(Section("More", html.paragraph(f"{more:,} more series: --output csv has all.")))
    return html.page(str(result.get("model", "forecasts")), sections)


def _parsed(prompt: str) -> object:
    try:
        return json_text.parse(prompt)
    except ValueError as error:
        raise ConfigError(
            f"--prompt {prompt[:60]!r} is no JSON ({error}); write '[1, 2, 3]' or '{{\"values\": [1, 2, 3], "
            '"start": "2024-03-01"}\'; files go to --prompt-file'
        ) from error


def _of_rows(rows: Iterable[tuple[str, Row]], how: Prepare, name: str) -> list[Past]:
    """The series in rows, read as the model's own were."""
    places, found = [], []
    for place, row in rows:
        places.append(place)
        found.append(row)
    if not found:
        raise InputError(f"{name} holds no rows; write a head and a row for each time")
    known = histories.of_rows(found, places, prepare.columns(how), lambda line: None)
    return [
        use.after(
            history.name,
            history.values,
            history.start if abs(history.start) > prepare.MERE_COUNT else np.nan,
            history.step,
        )
        for history in known
    ]
