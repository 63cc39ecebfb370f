"""`/v1/translate`: sources in, translations with scores out."""

from dataclasses import asdict
from typing import Any

from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.tasks.translate.use import TranslationModel

ROUTE, ANSWERS = "translate", "translations"
OPTIONS: Json = {
    "beam": {"type": "integer", "minimum": 1, "maximum": 16, "description": "Partial translations kept"},
    "n_best": {"type": "integer", "minimum": 1, "maximum": 16, "description": "Translations of each source"},
    "greedy": {"type": "boolean", "description": "Take the likeliest token each time"},
}


def schema(model: TranslationModel) -> Json:
    """A source."""
    return {"type": "string", "description": "What to translate."}


def request(model: TranslationModel, given: Any) -> Any:
    """A source. Raises InputError for what is none."""
    if not isinstance(given, str):
        raise InputError("a text is needed")
    return given


def answer(model: TranslationModel, requests: list[Any], options: Json) -> list[Json]:
    """The best translation of each source; with n_best above 1 all of them in `candidates`."""
    found = model.candidates(requests, **options)
    several = options.get("n_best", 1) > 1
    return [{**asdict(best[0]), **({"candidates": [asdict(one) for one in best]} if several else {})} for best in found]
