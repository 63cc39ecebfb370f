"""Plain data -> typed settings, strictly checked. Knows no task: it is handed the class of the root section.

Settings are nested `Section` classes (see `tasks/*/settings.py`); the YAML mirrors their nesting. Every mistake is
reported in one pass, with where it stands (a file and line, an override), the key, and the closest right one.
"""

import difflib
import re
import types
import typing
from typing import Any, ClassVar, TypeVar

import msgspec

from llmkit.errors import ConfigError
from llmkit.plain import Json

Key = tuple[str | int, ...]
Origins = dict[Key, str]
"""Where each key's value comes from: `FILE:LINE`, an override or an option."""
Mistake = typing.Callable[[Key, str], None]
Kind = Any
"""A type as a field's annotation has it: a class, `int | None`, `Annotated[float, …]`, `Distil[Model]`."""

WRONG = object()
"""What stands for a value that is wrong, and has been reported."""

LONGEST_SHOWN = 60  # characters of a wrong text in a message

KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a section of keys",
}


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Base of every config section: immutable, keyword-only, each field with a docstring below it.

    A section may be generic (`Distil[Model]`), where the type of a key is another one for each task.
    """

    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which at most one may be set; an override that sets one clears those that the file sets."""
    places: ClassVar[tuple[str, ...]] = ()
    """Fields that name a file, a folder or standard input (`config/places.py`)."""
    silent: ClassVar[tuple[str, ...]] = ()
    """Fields of which nothing is written while they are not set (None): what was made before they were known, and what
    is made without them, is the same to the byte."""
    absent: ClassVar[dict[str, str]] = {}
    """Keys of sections of the same name elsewhere that one may look for here, and what is said of them."""


AnySection = TypeVar("AnySection", bound=Section)


def to_data(settings: Section) -> Json:
    """Plain dicts, lists and scalars of a section, defaults included (but for `silent` ones)."""
    data: Json = msgspec.to_builtins(settings)
    _without_silent(settings, data)
    return data


def _without_silent(settings: Section, data: Json) -> None:
    """Take the unset fields that are `silent` out of a section's data, and of that of the sections directly within."""
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if value is None and field.name in settings.silent:
            del data[field.name]
        elif isinstance(value, Section):
            _without_silent(value, data[field.name])


def check(data: object, section: type[AnySection], origins: Origins, name: str) -> AnySection:
    """Plain data -> an instance of `section`; raises ConfigError listing every mistake, one line each."""
    mistakes: list[str] = []

    def mistake(path: Key, message: str) -> None:
        place = path
        while place and place not in origins:
            place = place[:-1]
        where = origins.get(place, name)
        key = ".".join(map(str, path))
        mistakes.append(f"{where}: {key}: {message}" if key else f"{where}: {message}")

    result = _convert(data, section, (), mistake)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return result


def _convert(value: object, kind: Kind, path: Key, mistake: Mistake) -> Any:
    """The value as its type wants it, or WRONG."""
    variants = tagged_variants(kind)
    if variants:
        return _convert_variant(value, variants, path, mistake)
    if section_class(kind):
        return _convert_section(value, kind, path, mistake)
    if optional := _optional_section(kind):
        return None if value is None else _convert_section(value, optional, path, mistake)
    if typing.get_origin(kind) is list and tagged_variants(typing.get_args(kind)[0]) and isinstance(value, list):
        inner = typing.get_args(kind)[0]
        entries = [_convert(item, inner, (*path, index), mistake) for index, item in enumerate(value)]
        return WRONG if any(entry is WRONG for entry in entries) else entries
    if typing.get_origin(kind) is dict and isinstance(value, dict):
        inner = typing.get_args(kind)[1]
        items = {key: _convert(item, inner, (*path, key), mistake) for key, item in value.items()}
        return WRONG if WRONG in items.values() else items
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inside, message = _explain(str(error), value, kind)
        mistake((*path, *inside), message)
        return WRONG


def _convert_section(value: object, kind: Kind, path: Key, mistake: Mistake) -> object:
    """An instance of `kind`, a section or a generic one with its types named, or WRONG."""
    if value is None:
        value = {}  # `train:` with nothing below it
    if not isinstance(value, dict):
        mistake(path, f"expected a section of keys, got {kind_of(value)}")
        return WRONG
    section = section_class(kind)
    assert section is not None
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    tag = section.__struct_config__.tag_field
    converted = {}
    for key, item in value.items():
        if key == tag:
            continue
        if key not in known:
            names = [*known, *([tag] if tag else [])]
            known_here = closest(key, names) or "; known here: " + ", ".join(names)
            mistake((*path, key), section.absent.get(key) or f"unknown key{known_here}")
            converted[key] = WRONG
        elif item is not None or typing.get_origin(known[key].type) is not dict:  # `compress:` left empty
            converted[key] = _convert(item, known[key].type, (*path, key), mistake)
    named = [name for name in section.one_of if converted.get(name) is not None]
    if len(named) > 1:
        mistake((*path, named[-1]), f"{' and '.join(named)} are given; name one of {', '.join(section.one_of)}")
        return WRONG
    missing = [name for name, field in known.items() if field.required and name not in value]
    if missing:
        mistake(path, f"needs {', '.join(missing)}")
    if missing or WRONG in converted.values():
        return WRONG
    try:
        return section(**converted)
    except ValueError as error:
        mistake(path, str(error))
        return WRONG


def _convert_variant(value: object, variants: dict[str, Kind], path: Key, mistake: Mistake) -> object:
    if not isinstance(value, dict):
        mistake(path, f"expected a section of keys, got {kind_of(value)}")
        return WRONG
    field = tag_field(variants)
    chosen = value.get(field)
    if isinstance(chosen, str) and chosen in variants:
        return _convert_section(value, variants[chosen], path, mistake)
    known = ", ".join(variants)
    if field in value:
        mistake((*path, field), f"{chosen!r} is not one of {known}{closest(chosen, variants)}")
    else:
        mistake(path, f"needs {field}: one of {known}")
    return WRONG


def section_class(kind: Kind) -> type[Section] | None:
    """The class of a section, plain (`Split`) or generic with its types named (`Distil[Model]`); None for others."""
    kind = typing.get_origin(kind) or kind
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def members(kind: Kind) -> tuple[Kind, ...]:
    """The types of a union; of another type itself alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def tagged_variants(kind: Kind) -> dict[str, Kind]:
    """{tag: section} for a section with a tag, or a union of such; empty for anything else."""
    tags: dict[str, Kind] = {}
    for member in members(kind):
        section = section_class(member)
        if section is None or not section.__struct_config__.tag:
            return {}
        tags[str(section.__struct_config__.tag)] = member
    return tags


def tag_field(variants: dict[str, Kind]) -> str:
    """The key by which sections with tags are told apart, such as `method`."""
    section = section_class(next(iter(variants.values())))
    assert section is not None
    return str(section.__struct_config__.tag_field)


def _optional_section(kind: Kind) -> Kind:
    """The section of `Section | None`, else None."""
    others = [part for part in members(kind) if part is not type(None)]
    return others[0] if len(others) == 1 < len(members(kind)) and section_class(others[0]) else None


def _explain(message: str, value: Any, kind: Kind) -> tuple[Key, str]:
    """(place of the mistake inside the value, what is wrong there) from the words of msgspec."""
    message, _, at = message.partition(" - at `$")
    place: list[int] = []
    for index in re.findall(r"\[(\d+)\]", at):
        place, value = [*place, int(index)], value[int(index)]
    if message.startswith("Invalid enum value"):
        choices = [choice for choice in _choices(kind) if choice is not None]
        return (*place,), f"{value!r} is not one of {', '.join(map(str, choices))}{closest(value, choices)}"
    expected = re.fullmatch(r"Expected `([^`]+)`(.*?)(?:, got `\w+`)?", message)
    if expected:
        kinds = " or ".join(KINDS.get(part.strip(), part.strip()) for part in expected[1].split("|"))
        return (*place,), f"expected {kinds}{expected[2]}, got {kind_of(value)}"
    return (*place,), message[0].lower() + message[1:]


def _choices(kind: Kind) -> list[object]:
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    return [choice for part in typing.get_args(kind) for choice in _choices(part)]


def kind_of(value: object) -> str:
    """A value as messages call it."""
    if isinstance(value, dict):
        return "a section of keys"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"text {value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + '…'!r}"
    return "null" if value is None else str(value).lower()


def closest(word: object, choices: typing.Iterable[object]) -> str:
    """The end of a message on a wrong word: which one may have been meant, or nothing."""
    found = difflib.get_close_matches(str(word), [str(choice) for choice in choices], n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
