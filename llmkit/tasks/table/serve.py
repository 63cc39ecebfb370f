"""`/v1/predict` for tables: rows in, labels with probabilities or numbers with intervals out."""

from typing import Any

from llmkit.data import encoding
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting.regressor import Regressor
from llmkit.tasks.table.use import Model

ROUTE, ANSWERS = "predict", "predictions"
MOST_CHOICES = 30  # categories of a column that are listed; of more, some may be names
OPTIONS: Json = {
    "interval": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "Coverage of intervals"}
}


def schema(model: Model) -> Json:
    """A row: each column with its kind, a typical value as default, and the categories where they are few."""
    learnt = encoding.load(model.folder)
    numbers = {number.name: number.median for number in learnt.numbers}
    categories = {category.name: category for category in learnt.categories}
    properties: Json = {}
    for column in learnt.columns:
        about: Json = {"type": ["string", "null"], "description": str(column)}
        if column.kind == "number":
            about |= {"type": ["number", "string", "null"], "default": numbers[column.name]}
        elif column.kind == "category":
            category = categories[column.name]
            about |= {"type": ["string", "number", "boolean", "null"], "default": category.typical}
            if len(category.values) <= MOST_CHOICES:
                about["examples"] = category.values
        properties[column.name] = about
    required = [column.name for column in learnt.columns]
    return {"type": "object", "description": "A row.", "properties": properties, "required": required}


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
