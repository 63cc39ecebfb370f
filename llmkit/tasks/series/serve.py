"""`/v1/forecast`: past values in, quantiles of what comes out."""

from typing import Any

from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.tasks.series.use import Forecaster, past_of

ROUTE, ANSWERS = "forecast", "forecasts"
OPTIONS: Json = {"horizon": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "Steps ahead"}}


def schema(model: Forecaster) -> Json:
    """A history."""
    return {
        "description": 'Past values, null where missing, or {"values": […], "start": a time, "name": …}.',
        "anyOf": [
            {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 1},
            {"type": "object", "required": ["values"], "properties": {"values": {"type": "array"}}},
        ],
    }


def request(model: Forecaster, given: Any) -> Any:
    """A history. Raises InputError for what is none."""
    return past_of(given, 1, model.about.step)


def answer(model: Forecaster, requests: list[Any], options: Json) -> list[Json]:
    """A forecast for each history. Raises ConfigError for a horizon out of range."""
    horizon = options.get("horizon")
    if horizon is not None and (type(horizon) is not int or not 1 <= horizon <= 10_000):
        raise ConfigError("horizon: a whole number from 1 to 10000 is needed")
    return model.forecasts(requests, horizon)
