"""`llmkit generate` for predictors: what the predictions are, and how they are printed."""

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from llmkit.console import tables, terminal
from llmkit.data.plain_text import is_text
from llmkit.errors import ConfigError
from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json
from llmkit.predicting import explained, report
from llmkit.predicting.settings import Predict
from llmkit.predicting.use import AnyExamples, Predictor
from llmkit.report import html
from llmkit.report.html import Section

WIDEST = 60  # characters of a text in a table
EXPLANATION = "explanation"  # of a prediction; in CSV a cell of JSON
MOST_COLUMNS = 6  # labels that each have a column in a table


def predict(
    model: Predictor[AnyExamples],
    examples: AnyExamples,
    named: Sequence[Json],
    settings: Predict,
    seed: int,
    puzzles: Callable[[], Sequence[Puzzle[AnyExamples]]] = tuple,
) -> Json:
    """{"predictions": [{…, and what the model says}], examples, seconds, …} for examples that were read.

    `named` (N) says what each of them is called: {"row": 1} or {"text": …}. `puzzles` gives the examples as parts,
    where `settings.explain` asks for an `explanation` in each prediction.
    """
    start = time.perf_counter()
    answers = model.answers(examples)
    seconds = time.perf_counter() - start
    predictions = [name | found for name, found in zip(named, model.named(answers), strict=True)]
    if settings.explain:
        for prediction, puzzle in zip(predictions, puzzles(), strict=True):
            prediction[EXPLANATION] = model.explained(model.explanation(puzzle))["explanation"]
    return {
        "predictions": predictions,
        "output": settings.output,
        "examples": len(predictions),
        "seconds": seconds,
        "examples_per_second": len(predictions) / max(seconds, 1e-9),
        "engine": "onnxruntime",
        "seed": seed,
    }


def prompts_and_file(settings: Predict) -> tuple[list[str], Path | None]:
    """What `prompt` and `prompt_file` name: prompts, where - is standard input, and a file. Raises ConfigError."""
    given = settings.prompt
    prompts = [] if given is None else [given] if isinstance(given, str) else list(given)
    check_text(prompts)
    if settings.prompt_file == "-":
        return [*prompts, "-"], None
    return prompts, Path(settings.prompt_file) if settings.prompt_file else None


def check_text(prompts: Sequence[str]) -> None:
    """Refuse prompts of bytes that are no text. Raises ConfigError."""
    for prompt in prompts:
        if not is_text(prompt):
            raise ConfigError(f"the prompt {prompt[:60]!r} is not UTF-8 text; give it in UTF-8")


def items(result: Json) -> list[Json]:
    """One dict per example: the lines of `--jsonl`."""
    return result["predictions"]


def show(result: Json, emitted: bool, named: bool) -> None:
    """Print the predictions as `generate.output` says; `named`: say whose they are."""
    if result["output"] == "jsonl":
        for item in items(result):
            terminal.write(json.dumps(item, ensure_ascii=False))
        return
    if result["output"] == "html":
        return terminal.write(_page(result))
    if named:
        terminal.show(f"--- {result['model']}")
    if result["output"] == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_rows(result["predictions"], number=repr))
        terminal.write(text.getvalue(), end="")
        return
    head, *rows = _rows(_plain(result["predictions"]), MOST_COLUMNS)
    tables.table(head, [[_short(cell) for cell in row] for row in rows])
    for prediction in result["predictions"]:
        if EXPLANATION in prediction:
            explained.show(prediction)


def summary(result: Json) -> str:
    """The closing message."""
    what = "prediction" if result["examples"] == 1 else "predictions"
    return f"{result['examples']:,} {what}, {result['examples_per_second']:,.0f} examples/s"


def _rows(
    predictions: list[Json], most: int | None = None, number: Callable[[float], str] = "{:.4f}".format
) -> list[list[str]]:
    """Head and rows: what the example is called; label, probability and, for few labels, that of each; or a number."""
    first = predictions[0]
    if "prediction" in first:
        write = number if number is repr else "{:.6g}".format
        cells = [
            [write(value) if isinstance(value, float) else _cell(value) for value in row.values()]
            for row in predictions
        ]
        return [list(first), *cells]
    names = [key for key in first if key not in ("label", "probability", "probabilities", EXPLANATION)]
    more = [EXPLANATION] if EXPLANATION in first else []
    labels = list(first["probabilities"]) if most is None or len(first["probabilities"]) <= most else []
    rows = [[*names, "label", "probability", *(f"p({label})" for label in labels), *more]]
    for item in predictions:
        values = [item["probability"], *(item["probabilities"][label] for label in labels)]
        last = [_cell(item[name]) for name in more]
        rows.append([*(str(item[name]) for name in names), item["label"], *map(number, values), *last])
    return rows


def _plain(predictions: list[Json]) -> list[Json]:
    return [{key: value for key, value in item.items() if key != EXPLANATION} for item in predictions]


def _page(result: Json) -> str:
    """The predictions and why, as a page that holds all it needs."""
    head, *rows = _rows(_plain(result["predictions"]), MOST_COLUMNS)
    sections = [Section("Predictions", html.table(head, rows))]
    for number, item in enumerate(result["predictions"], 1):
        if EXPLANATION in item:
            found = item[EXPLANATION]
            value, baseline = tables.number(found["value"]), tables.number(found["baseline"])
            note = html.paragraph(f"{found['of']}: {value}, {explained.BASELINES[found['kind']]} {baseline}")
            sections.append(Section(f"Why: {number}", note + report.why(found)))
    return html.page(str(result["model"]), sections)


def _cell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
