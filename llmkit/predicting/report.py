"""Sections of a report on a predictor: curves, calibration, error by label, the worst mistakes and why."""

import base64
from typing import Any

import numpy as np

from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.explained import called, pieces
from llmkit.predicting.regressor import Regressor
from llmkit.predicting.use import Classifier, Predictor
from llmkit.report import charts, curves, html
from llmkit.report.html import Section

MOST_MISTAKES = 8
MOST_CURVES = 8  # labels that have a curve of their own
MOST_BARS = 12


def sections(model: Predictor[Any], examples: Targeted[Any]) -> list[Section]:
    """What the model does on the examples, for people."""
    answers = model.answers(examples.read(model, np.arange(len(examples.targets))))
    if isinstance(model, Classifier):
        found = [_curves(model, answers, examples.targets), _by_label(model, answers, examples.targets)]
    else:
        chart = charts.points(examples.targets.astype(np.float64), answers[:, 0], "true", "predicted")
        note = html.paragraph("On the broken line a prediction is the true number.", "note")
        found = [Section("Predicted beside true numbers", f'<div class="charts"><figure>{chart}</figure></div>{note}')]
    return [*found, _worst(model, examples, answers)]


def _curves(model: Classifier[Any], answers: np.ndarray, targets: np.ndarray) -> Section:
    shown = range(1, 2) if len(model.labels) == 2 else range(min(len(model.labels), MOST_CURVES))
    positive = {number: targets == number for number in shown}
    roc = [(model.labels[k], *curves.roc(answers[:, k], positive[k])) for k in shown]
    precision = [(model.labels[k], *curves.precision_recall(answers[:, k], positive[k])) for k in shown]
    means, right, _ = curves.reliability(answers.max(axis=1), answers.argmax(axis=1) == targets)
    of = f" of {model.labels[1]}" if len(model.labels) == 2 else ""
    figures = [
        (f"ROC{of}", charts.curves(roc, "false positive rate", "true positive rate", diagonal=True)),
        (f"Precision and recall{of}", charts.curves(precision, "recall", "precision")),
        ("Calibration: on the broken line a probability of 0.8 is right in 8 of 10 cases",
         charts.curves([("", means, right)], "probability", "share that is right", diagonal=True)),
    ]  # fmt: skip
    body = "".join(f"<figure>{svg}<figcaption>{html.escape(text)}</figcaption></figure>" for text, svg in figures)
    return Section("Curves", f'<div class="charts">{body}</div>')


def _by_label(model: Classifier[Any], answers: np.ndarray, targets: np.ndarray) -> Section:
    said, rows = answers.argmax(axis=1), []
    losses = model.losses(answers, targets)
    for number, label in enumerate(model.labels):
        of = targets == number
        if of.any():
            precision = (targets[said == number] == number).mean() if (said == number).any() else float("nan")
            recall = (said[of] == number).mean()
            rows.append([label, f"{of.sum():,}", f"{recall:.4f}", f"{precision:.4f}", f"{losses[of].mean():.4f}"])
    return Section("By label", html.table(["label", "examples", "recall", "precision", "log loss"], rows))


def _worst(model: Predictor[Any], examples: Targeted[Any], answers: np.ndarray) -> Section:
    losses = model.losses(answers, examples.targets)
    which = np.argsort(-losses, kind="stable")
    if isinstance(model, Classifier):
        which = which[answers[which].argmax(axis=1) != examples.targets[which]]
    which = which[:MOST_MISTAKES]
    if not len(which):
        return Section("Worst mistakes", html.paragraph("There are none in these examples."))
    body = [html.paragraph("What the model was surest of and wrong in. Green speaks for what it said, red against it.")]
    puzzles: list[Puzzle[Any]] = examples.puzzles(model, which) if examples.puzzles else []
    for place, number in enumerate(which.tolist()):
        title = _title(model, answers[number], examples.targets[number])
        reasons = why(model.explained(model.explanation(puzzles[place]))["explanation"]) if puzzles else ""
        body.append(f'<div class="mistake">{html.paragraph(title)}{reasons}</div>')
    return Section("Worst mistakes", "".join(body))


def _title(model: Predictor[Any], answer: np.ndarray, target: Any) -> str:
    if isinstance(model, Classifier):
        said = int(answer.argmax())
        return f"{model.labels[said]} ({answer[said]:.4f}), but it is {model.labels[int(target)]}"
    assert isinstance(model, Regressor)
    return f"{answer[0]:,.6g} ({answer[1]:,.6g} to {answer[2]:,.6g}), but it is {float(target):,.6g}"


def why(explanation: Json) -> str:
    """An explanation as HTML: words in their colours, a heat map beside its picture, else bars."""
    parts = explanation["parts"]
    if explanation["kind"] == "words":
        text = ""
        for part in parts:
            text = text.ljust(part["start"]) + part["text"]
        return html.marked(pieces(text, parts))
    if explanation["kind"] == "patches":
        last = parts[-1]
        svg = charts.heat_map(parts, last["row"] + last["height"], last["column"] + last["width"])
        shown = html.picture(base64.b64decode(explanation["picture"]), "the picture", "10rem")
        return f'<div class="charts">{shown}<figure style="max-width: 10rem">{svg}</figure></div>'
    order = sorted(parts, key=lambda part: -abs(part["contribution"]))[:MOST_BARS]
    return f"<figure>{charts.bars([(called(part), part['contribution']) for part in order])}</figure>"
