"""openapi.json: what the server takes and gives, made from what its models offer."""

from collections.abc import Mapping

from llmkit.plain import Json
from llmkit.serving import completions
from llmkit.serving.bodies import MOST_INPUTS
from llmkit.serving.served import COMPLETIONS, EXPLAIN, Served
from llmkit.version import __version__

OBJECT: Json = {"type": "object", "additionalProperties": True}
ERRORS = {
    "400": "The request is wrong; the message says where.",
    "401": "No key, or a wrong one.",
    "403": "The key may not do this.",
    "404": "No such model or route.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "More requests than the key's limit; wait for Retry-After seconds.",
    "503": "Too many requests wait, or the server is ending.",
    "504": "No answer in time.",
}


def of(models: Mapping[str, Served]) -> Json:
    """The description of a server of these models."""
    paths: Json = {
        "/healthz": {"get": _get("The process runs.", security=[])},
        "/readyz": {"get": _get("Requests are taken.")},
        "/v1/models": {"get": _get("The models.")},
        "/metrics": {"get": _get("Figures for Prometheus.", kind="text/plain")},
    }
    for route in sorted({route for served in models.values() for route in served.routes}):
        able = [served for served in models.values() if route in served.routes]
        body = _completions() if route == COMPLETIONS else _inputs(able, explain=route == EXPLAIN)
        body["properties"]["model"] = {"type": "string", "enum": [served.name for served in able]}
        paths[f"/v1/{route}"] = {"post": _post(route, body)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "llmkit", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def _inputs(able: list[Served], explain: bool) -> Json:
    one: Json = {"anyOf": [served.input for served in able]}
    options: Json = {}
    for served in able:
        if served.offers and not explain:
            options |= served.offers.OPTIONS
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_INPUTS}
    return {"type": "object", "properties": {"input": one, "inputs": many, **options}, "additionalProperties": False}


def _completions() -> Json:
    texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    properties: Json = {
        "prompt": texts,
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": completions.MOST_TOKENS, "default": 16},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "n": {"type": "integer", "minimum": 1, "maximum": completions.MOST_TEXTS, "default": 1},
        "stream": {"type": "boolean", "default": False},
        "logprobs": {"type": "integer", "minimum": 0, "maximum": completions.MOST_TOP},
        "echo": {"type": "boolean", "default": False},
        "stop": texts,
        "seed": {"type": "integer"},
    }
    return {"type": "object", "properties": properties, "additionalProperties": True}


def _get(about: str, kind: str = "application/json", **more: object) -> Json:
    return {"summary": about, "responses": {"200": _content(kind), **_errors()}, **more}


def _post(route: str, body: Json) -> Json:
    content = {"application/json": {"schema": body}}
    return {
        "summary": f"What models of {route} answer.",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _content("application/json"), **_errors()},
    }


def _content(kind: str) -> Json:
    return {"description": "Done.", "content": {kind: {"schema": {} if kind == "text/plain" else OBJECT}}}


def _errors() -> Json:
    return {status: {"description": about} for status, about in ERRORS.items()}
