"""`/v1/predict` for tables: rows in, labels with probabilities or numbers with intervals out."""

from typing import Any

from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting.regressor import Regressor
from llmkit.tasks.table.use import Model

ROUTE, ANSWERS = "predict", "predictions"
INPUT: Json = {"type": "object", "description": "A row: {column: value}.", "additionalProperties": True}
OPTIONS: Json = {
    "interval": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "Coverage of intervals"}
}


def request(model: Model, given: Any) -> Any:
    """A row. Raises InputError for what is none."""
    if not isinstance(given, dict):
        raise InputError("a row is an object {column: value}")
    model.read([given])
    return given


def answer(model: Model, requests: list[Any], options: Json) -> list[Json]:
    """A prediction for each row. Raises ConfigError for an interval that the model cannot tell."""
    if isinstance(model, Regressor) and "interval" in options:
        return model.predict(requests, interval=float(options["interval"]))
    return model.predict(requests)
