"""`llmkit generate --anomalies`: past values in, how surprising each was out, as table, CSV, JSON Lines or a page."""

import csv
import io
import time
from collections.abc import Iterator

from llmkit.console import tables, terminal
from llmkit.console.callbacks import Warn
from llmkit.plain import Json
from llmkit.report import charts, html
from llmkit.report.html import Section
from llmkit.tasks.contract import Answers
from llmkit.tasks.series.settings import Generate
from llmkit.tasks.series.use import Forecaster, Past

SHOWN_ROWS = 200  # of a table for people
MOST_CHARTS = 20
AROUND = 2  # horizons on either side of an alarm in a chart
SHORT = 3  # names in a message
SAME = ("expected", "lower_95", "upper_95", "surprise", "alarm")
VALUES = {"time": "times", "value": "values", **{key: key for key in SAME}}  # of a value -> of a series


def answer(model: Forecaster, pasts: list[Past], settings: Generate, seed: int, warn: Warn) -> Answers:
    """{"anomalies": [what `Forecaster.judged` says of a series], "alarms", "judged", …}."""
    start = time.perf_counter()
    found = [model.judged(past, settings.alarms_per_day) for past in pasts]
    seconds = time.perf_counter() - start
    if short := [past.name for past, judged in zip(pasts, found, strict=True) if not judged["values"]]:
        warn(
            f"{len(short):,} series have no more than a season of {model.about.season} values, so that none is judged: "
            f"{', '.join(map(repr, short[:SHORT]))}"
        )
    judged = sum(len(each["values"]) for each in found)
    return Answers(
        {
            "anomalies": found,
            "alarms": sum(alarm is not None for each in found for alarm in each["alarm"]),
            "judged": judged,
            "alarms_per_day": settings.alarms_per_day,
            "alarm_from_bits": model.about.alarm_from(settings.alarms_per_day),
            "horizon": model.about.horizon,
            "output": settings.output,
            "seconds": seconds,
            "ms_per_value": 1000 * seconds / max(judged, 1),
            "engine": "onnxruntime",
            "seed": seed,
        }
    )


def items(result: Json) -> list[Json]:
    """{"name", "time", "value", "expected", "lower_95", "upper_95", "surprise", "alarm"} of each value."""
    return list(_values(result))


def show(result: Json) -> None:
    """Print the alarms as a table, or all values as CSV."""
    if result["output"] == "csv":
        text = io.StringIO()
        given = [[repr(v) if isinstance(v, float) else v for v in value.values()] for value in _values(result)]
        csv.writer(text, lineterminator="\n").writerows([["series", *VALUES], *given])
        return terminal.write(text.getvalue(), end="")
    alarms = [value for value in _values(result) if value["alarm"]]
    rows = [
        [
            value["name"],
            value["time"] or "",
            *(f"{value[key]:.6g}" for key in ("value", "expected", "lower_95", "upper_95")),
            f"{value['surprise']:.1f}",
            value["alarm"],
        ]
        for value in alarms[:SHOWN_ROWS]
    ]
    tables.table(["series", *list(VALUES)[:-2], "bits", "alarm"], rows)
    if len(alarms) > SHOWN_ROWS:
        terminal.show(f"… and {len(alarms) - SHOWN_ROWS:,} more alarms: --output csv has all")


def page(result: Json) -> str:
    """The most surprising alarms with what was around them, each value on its forecast's band of 95 %."""
    places = [
        (each["surprise"][place], number, place)
        for number, each in enumerate(result["anomalies"])
        for place, alarm in enumerate(each["alarm"])
        if alarm
    ]
    sections = []
    for bits, number, place in sorted(places, reverse=True)[:MOST_CHARTS]:
        each, reach = result["anomalies"][number], AROUND * result["horizon"]
        begin, end = max(place - reach, 0), place + reach + 1
        parts = {"0.025": each["lower_95"], "0.5": each["expected"], "0.975": each["upper_95"]}
        marked = [k for k, alarm in enumerate(each["alarm"][begin:end]) if alarm]
        chart = charts.forecast((), {k: v[begin:end] for k, v in parts.items()}, each["values"][begin:end], marked)
        moment = f", {each['times'][place]}" if each["times"] else f", value {place + 1} of those judged"
        sections.append(Section(f"{each['name']}{moment}: {bits:.1f} bits", f"<figure>{chart}</figure>"))
    if (more := len(places) - MOST_CHARTS) > 0:
        sections.append(Section("More", html.paragraph(f"{more:,} more alarms: --output csv has all.")))
    return html.page(f"{result.get('model', 'anomalies')}: {summary(result)}", sections)


def summary(result: Json) -> str:
    """The closing message."""
    what = "alarm" if result["alarms"] == 1 else "alarms"
    return (
        f"{result['alarms']:,} {what} among {result['judged']:,} values, from {result['alarm_from_bits']:.1f} bits of "
        f"surprise on; {result['ms_per_value']:.2f} ms a value"
    )


def _values(result: Json) -> Iterator[Json]:
    for each in result["anomalies"]:
        columns = [each[key] or [None] * len(each["values"]) for key in VALUES.values()]
        for values in zip(*columns, strict=True):
            yield {"name": each["name"], **dict(zip(VALUES, values, strict=True))}
