"""`/v1/images`: labels in, pictures out, as PNG in base64."""

import base64
from typing import Any

from llmkit.data.grid import png
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.tasks.image.use import Generator

ROUTE, ANSWERS = "images", "data"
MOST = 100  # pictures of a request
OPTIONS: Json = {}


def schema(model: Generator) -> Json:
    """Which pictures: how many, of which seed, of which label where the model knows labels."""
    properties: Json = {
        "n": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 1, "description": "How many"},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "default": 1},
    }
    if model.labels:
        properties["label"] = {"type": "string", "enum": model.labels}
    return {
        "type": "object",
        "description": "Which pictures.",
        "properties": properties,
        "additionalProperties": False,
    }


def request(model: Generator, given: Any) -> Any:
    """(number of pictures, seed, label). Raises InputError."""
    if not isinstance(given, dict) or not set(given) <= {"n", "seed", "label"}:
        raise InputError("an object is needed, with n, seed and label at most")
    count, seed, label = given.get("n", 1), given.get("seed", 1), given.get("label")
    if type(count) is not int or not 1 <= count <= MOST or type(seed) is not int or not 0 <= seed < 2**32:
        raise InputError(f"n: 1 to {MOST}; seed: a whole number from 0 on, below 2**32")
    if label is not None and label not in model.labels:
        raise InputError(f"the model has not learnt that label; it knows: {', '.join(model.labels[:20])}")
    return count, seed, label


def answer(model: Generator, requests: list[Any], options: Json) -> list[Json]:
    """Pictures for each request."""
    return [
        {"images": [{"b64_json": base64.b64encode(png(picture)).decode()} for picture in model.generate(*one)]}
        for one in requests
    ]
