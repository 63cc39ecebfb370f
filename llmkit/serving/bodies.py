"""Bodies of requests: JSON with limits, and what every route reads of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from llmkit.config import json_text
from llmkit.plain import Json
from llmkit.serving.access import Refused
from llmkit.serving.served import Served

MOST_INPUTS = 1000  # of a request


async def read(request: Request) -> Json:
    """The JSON object in a request's body. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "send JSON: Content-Type: application/json")
    data = await request.body()
    try:
        body = json_text.parse(data)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON (an object, without NaN and infinities, not too deep)") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return body


def model_of(body: Json, models: Mapping[str, Served], route: str) -> Served:
    """The model that a body names; the only one that has the route where it names none. Raises Refused."""
    able = [served for served in models.values() if route in served.routes]
    name = body.get("model")
    if name is None and len(able) == 1:
        return able[0]
    found = models.get(name) if isinstance(name, str) else None
    if found is None or found not in able:
        there = ", ".join(served.name for served in able) or "none"
        raise Refused(404, f"`model` names no model for /v1/{route}; there are: {there}")
    return found


def inputs_of(body: Json, many: bool) -> Sequence[Any]:
    """The inputs of a body. Raises Refused.

    `many`: whether a list is always several; else a list is one input unless `inputs` has it.
    """
    if ("input" in body) == ("inputs" in body):
        raise Refused(400, "give `input`, or `inputs` for a list of several")
    if "input" in body:
        if many and isinstance(body["input"], list):
            return _checked(body["input"])
        return [body["input"]]
    if not isinstance(body["inputs"], list):
        raise Refused(400, "`inputs` is a list")
    return _checked(body["inputs"])


def _checked(inputs: list[Any]) -> list[Any]:
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise Refused(400, f"`inputs` has {len(inputs):,} elements; 1 to {MOST_INPUTS:,} are taken at once")
    return inputs
