"""Explanations of what predictors predict: printed for people, and the figures that `evaluate.explain` asks for."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from llmkit.console import contributions, terminal
from llmkit.console.callbacks import Progress
from llmkit.explaining import importance, judging
from llmkit.explaining.explanation import Explanation, Puzzle
from llmkit.plain import Json
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.use import AnyExamples, Classifier, Predictor

SEED = 0


def show(prediction: Json) -> None:
    """An explanation: what is explained, the words in their colours, then bars."""
    found = prediction["explanation"]
    value, baseline = contributions.number(found["value"]), contributions.number(found["baseline"])
    terminal.show(f"\n{found['of']}: {value}, {BASELINES[found['kind']]} {baseline} (gap {found['gap']:.1e})")
    if found["kind"] == "words":
        contributions.marked(pieces(prediction["text"], found["parts"]))
    contributions.bars([(called(part), part["contribution"]) for part in found["parts"]])


BASELINES = {"words": "an empty text", "columns": "a typical row", "patches": "the mean picture"}
"""What the baseline is, by the kind of parts."""


def called(part: Json) -> str:
    """The name of a part."""
    if "row" in part:
        return f"patch at row {part['row']}, column {part['column']}"
    if "column" in part:
        value = part["value"]
        return f"{part['column']} = {'missing' if value is None else f'{value:g}' if _is_number(value) else value}"
    return str(part["text"])


def pieces(text: str, parts: Sequence[Json]) -> list[tuple[str, float | None]]:
    """A text in pieces: its parts, each with its contribution, and what lies between them, with none."""
    found: list[tuple[str, float | None]] = []
    end = 0
    for part in parts:
        if part["start"] > end:
            found.append((text[end : part["start"]], None))
        found.append((text[part["start"] : part["end"]], part["contribution"]))
        end = part["end"]
    return [*found, (text[end:], None)] if end < len(text) else found


def figures(
    model: Predictor[AnyExamples], examples: Targeted[AnyExamples], count: int, progress: Progress
) -> tuple[Json, list[Explanation]]:
    """({"explanations": figures}, the explanations) of `count` examples drawn by a fixed seed; nothing of none."""
    if not count or examples.puzzles is None:
        return {}, []
    which = np.sort(np.random.default_rng(SEED).permutation(len(examples.targets))[:count])
    of_labels = isinstance(model, Classifier)
    answers = [int(target) if of_labels else 0 for target in examples.targets[which]]
    explanations, lost, taken = [], [], []
    puzzles: list[Puzzle[Any]] = examples.puzzles(model, which)
    for number, (puzzle, answer) in enumerate(zip(puzzles, answers, strict=True), 1):
        start = time.perf_counter()
        explanations.append(model.explanation(puzzle))
        taken.append(1000 * (time.perf_counter() - start))
        lost.append(judging.losses(puzzle, explanations[-1], answer, model.answers, signed=of_labels))
        progress(f"explaining {model.folder.name}", number, len(puzzles))
    found = judging.figures(lost, explanations, answers) | {"ms_per_example": float(np.median(taken))}
    if all(one.kind == "patches" for one in explanations):
        found |= _deletion(model, puzzles, explanations, answers)
    if isinstance(model, Classifier) and all(one.kind == "words" for one in explanations):
        return {"explanations": found, "words": importance.of_words(explanations, model.labels)}, explanations
    return {"explanations": found}, explanations


def _deletion(
    model: Predictor[AnyExamples],
    puzzles: Sequence[Puzzle[Any]],
    explanations: Sequence[Explanation],
    answers: list[int],
) -> Json:
    """Means of the deletion AUC and of a random one, and the share of examples in which the former is less."""
    pairs = [
        judging.deletion(puzzle, explanation, answer, model.answers)
        for puzzle, explanation, answer in zip(puzzles, explanations, answers, strict=True)
    ]
    own, random = np.array(pairs).T
    return {
        "deletion_auc": float(own.mean()),
        "deletion_auc_of_random": float(random.mean()),
        "better_than_random": float((own < random).mean()),
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
