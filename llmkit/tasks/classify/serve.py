"""`/v1/predict` for texts: texts in, labels with probabilities out."""

from typing import Any

from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting.use import Classifier

ROUTE, ANSWERS = "predict", "predictions"
OPTIONS: Json = {}


def schema(model: Classifier[Any]) -> Json:
    """A text."""
    return {"type": "string", "description": "A text."}


def request(model: Classifier[Any], given: Any) -> Any:
    """A text. Raises InputError for what is none."""
    if not isinstance(given, str):
        raise InputError("a text is needed")
    return given


def answer(model: Classifier[Any], requests: list[Any], options: Json) -> list[Json]:
    """A prediction for each text."""
    return model.predict(requests)
