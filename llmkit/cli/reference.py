"""The config reference, generated from the settings classes: `python -m llmkit.cli.reference docs/config.md`."""

import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from llmkit import tasks
from llmkit.config import schema as config
from llmkit.config.schema import Section
from llmkit.console import tables

HEAD = """# Config reference

Generated from the settings classes by `make docs`; do not edit. Every key may be left out. `section.key=value` on the
command line overrides a key for one command; values are YAML. An unknown key, a wrong type, a duplicate key or a value
out of range is refused with its line and the closest right key.
"""


def text() -> str:
    """The whole reference as Markdown."""
    lines = [HEAD]
    for task in tasks.TASKS:
        lines += [f"## task: {task}", ""]
        for name, section in sections(config.root_section(task, {}), ""):
            lines += [f"### {name or 'top level'}", "", _first_line(section), "", *_rows(section), ""]
    return "\n".join(lines)


def sections(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    """(dotted name, class) of a section and all those below it."""
    yield path, section
    for field in msgspec.structs.fields(section):
        name = f"{path}.{field.name}" if path else field.name
        for kind, suffix in _inner(field.type):
            yield from sections(kind, name + suffix)


def _inner(kind: Any) -> list[tuple[type[Section], str]]:
    """The sections below a key: its own class, or those of its values, by name or by `method`."""
    if isinstance(kind, type) and issubclass(kind, Section):
        tag = kind.__struct_config__.tag
        return [(kind, f" with {kind.__struct_config__.tag_field}: {tag}" if tag else "")]
    if typing.get_origin(kind) is dict:
        return [(inner, f".NAME{suffix}") for inner, suffix in _inner(typing.get_args(kind)[1])]
    if isinstance(kind, types.UnionType) and type(None) not in typing.get_args(kind):  # else as a section elsewhere
        return [pair for part in typing.get_args(kind) for pair in _inner(part)]
    return []


def _rows(section: type[Section]) -> list[str]:
    docs = config.descriptions(section)
    rows = [
        [f"`{field.name}`", _type(field.type), _default(field), docs.get(field.name, "")]
        for field in msgspec.structs.fields(section)
        if not (isinstance(field.type, type) and issubclass(field.type, Section))
    ]
    return tables.markdown(["key", "type", "default", "meaning"], rows)


def _type(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        inner, *notes = typing.get_args(kind)
        signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
        bounds = [
            f"{sign} {getattr(note, name)}"
            for note in notes
            for name, sign in signs.items()
            if getattr(note, name, None) is not None
        ]
        return " ".join([_type(inner), ", ".join(bounds)]).strip()
    if typing.get_origin(kind) is typing.Literal:
        return " \\| ".join(str(choice) for choice in typing.get_args(kind))
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return " or ".join(_type(part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return f"list of {_type(typing.get_args(kind)[0])}"
    if typing.get_origin(kind) is dict or kind is dict:
        return "mapping"
    if kind is type(None):
        return "null"
    return {float: "number", int: "whole number", str: "text", bool: "true or false", Any: "any"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )


def _default(field: Any) -> str:
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else "(required)"
    data = msgspec.to_builtins(default)
    return (
        f"`{data}`"
        if not isinstance(data, bool) and data is not None
        else {True: "`true`", False: "`false`", None: "`null`"}[data]
    )


def _first_line(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").split("\n\n")[0].split())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
