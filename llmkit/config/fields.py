"""What settings classes say of their keys: types, the docstring below each. For help pages and the reference."""

import ast
import inspect
import types
import typing
from functools import cache
from itertools import pairwise
from typing import Annotated

import msgspec

from llmkit.config.schema import Kind, Section, section_class


def section(root: type[Section], name: str) -> type[Section]:
    """The class of a section, by its key in the root."""
    return next(field.type for field in msgspec.structs.fields(root) if field.name == name)


def field_type(section: type[Section], name: str) -> Kind:
    """The type of a key, without its constraints."""
    kind = next(field.type for field in msgspec.structs.fields(section) if field.name == name)
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return kind


def plain_type(kind: Kind) -> Kind:
    """int of `int`, of `Annotated[int, …]` and of `int | None`; other types as they are."""
    if typing.get_origin(kind) is Annotated:
        return plain_type(typing.get_args(kind)[0])
    members = [part for part in typing.get_args(kind) if part is not type(None)]
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)  # the latter where a member is Annotated
    return plain_type(members[0]) if union and len(members) == 1 else kind


@cache
def descriptions(kind: Kind) -> dict[str, str]:
    """{field: the docstring below it}, inherited fields included, read from the source of the class."""
    found: dict[str, str] = {}
    section = section_class(kind)
    assert section is not None
    for base in reversed(section.__mro__):
        if not issubclass(base, Section) or base is Section:
            continue
        [node] = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body
        for field, doc in pairwise(node.body):  # type: ignore[attr-defined]
            text = doc.value if isinstance(doc, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant):
                found[field.target.id] = " ".join(str(text.value).split())  # type: ignore[union-attr]
    return found
