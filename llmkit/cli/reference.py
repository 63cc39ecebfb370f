"""The config reference, generated from the settings classes: `python -m llmkit.cli.reference docs/config.md`."""

import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from llmkit.config import fields
from llmkit.config.schema import Kind, Section, members, section_class
from llmkit.console import tables
from llmkit.tasks import TASKS

HEAD = """# Config reference

Generated from the settings classes by `make docs`; do not edit. Every key may be left out. `section.key=value` on the
command line overrides a key for one command; values are YAML. An unknown key, a wrong type, a duplicate key or a value
out of range is refused with its line and the closest right key.
"""


def text() -> str:
    """The whole reference as Markdown."""
    lines = [HEAD]
    for task in TASKS:
        lines += [f"## task: {task}", ""]
        for name, section in sections(TASKS[task].settings.Config, ""):
            lines += [f"### {name or 'top level'}", "", _first_line(section), "", *_rows(section), ""]
    return "\n".join(lines)


def sections(section: type[Section], path: str, seen: set[Kind] | None = None) -> Iterator[tuple[str, type[Section]]]:
    """(dotted name, class) of a section and all those below it; one that may be left out if it was not `seen` before,
    which most are, as a section elsewhere."""
    seen = set() if seen is None else seen
    seen.add(section)
    yield path, section
    for field in msgspec.structs.fields(section):
        name = f"{path}.{field.name}" if path else field.name
        for kind, suffix in _inner(field.type):
            if type(None) not in members(field.type) or kind not in seen:
                yield from sections(kind, name + suffix, seen)


def _inner(kind: Kind) -> list[tuple[type[Section], str]]:
    """The sections below a key: its own class, or those of its values, by name or by `method`."""
    if found := section_class(kind):
        tag = found.__struct_config__.tag
        return [(kind, f" with {found.__struct_config__.tag_field}: {tag}" if tag else "")]
    if typing.get_origin(kind) is dict:
        return [(inner, f".NAME{suffix}") for inner, suffix in _inner(typing.get_args(kind)[1])]
    if len(members(kind)) > 1:
        return [pair for part in members(kind) for pair in _inner(part)]
    return []


def _rows(section: type[Section]) -> list[str]:
    docs = fields.descriptions(section)
    rows = [
        [f"`{field.name}`", _type(field.type), _default(field), docs.get(field.name, "")]
        for field in msgspec.structs.fields(section)
        if not (isinstance(field.type, type) and issubclass(field.type, Section))
    ]
    return tables.markdown(["key", "type", "default", "meaning"], rows)


def _type(kind: Kind) -> str:
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


def _default(field: msgspec.structs.FieldInfo) -> str:
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else "(required)"
    data = msgspec.to_builtins(default)
    return (
        f"`{data}`"
        if not isinstance(data, bool) and data is not None
        else {True: "`true`", False: "`false`", None: "`null`"}[data]
    )


def _first_line(kind: Kind) -> str:
    section = section_class(kind)
    return " ".join((section.__doc__ if section and section.__doc__ else "").split("\n\n")[0].split())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
