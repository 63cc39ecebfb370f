"""One YAML file plus overrides -> the settings of an experiment, strictly checked.

A task's settings are nested `Section` classes (see `tasks/*/settings.py`); the YAML mirrors their nesting.
Every mistake is found in one pass and reported with its file and line (or override), the key, and the closest
right one.
"""

import ast
import difflib
import inspect
import re
import shlex
import types
import typing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from llmkit import tasks
from llmkit.config import yaml_text
from llmkit.errors import ConfigError, InputError

Key = tuple[str | int, ...]
Origins = dict[Key, str]
"""Where each key's value comes from: `FILE:LINE`, an override or an option."""
Mistake = typing.Callable[[Key, str], None]

WRONG: Any = object()
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
    """Base of every config section: immutable, keyword-only, each field with a docstring below it."""

    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which at most one may be set; an override that sets one clears those that the file sets."""


@dataclass(frozen=True)
class Config:
    """A checked experiment: `settings` is the task's root section, `path` the file it came from."""

    path: Path
    settings: Any
    overrides: tuple[str, ...] = ()
    """The `section.key=value` that the command was given."""

    @property
    def task(self) -> str:
        return self.settings.task

    @property
    def run_dir(self) -> Path:
        return Path(self.settings.run_dir)

    def command(self, stage: str) -> str:
        """The command line that runs a stage of this config with the same overrides, for messages."""
        return shlex.join(["llmkit", stage, str(self.path), *self.overrides])


def load(
    path: str | Path, overrides: typing.Sequence[str] = (), values: dict[tuple[str, ...], Any] | None = None
) -> Config:
    """Read a config file, apply overrides (`section.key=value`), then `values`, which are taken as they are.

    Raises InputError when the file cannot be read and ConfigError, naming every mistake, when it is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; make one with: llmkit init {path}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    data, lines = yaml_text.parse(text, str(path))
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}:1: a config is a mapping of sections such as `task: language`, not {_kind(data)}")
    origins: Origins = {place: f"{path}:{line}" for place, line in lines.items()}
    for override in overrides:
        _apply(override, data, origins)
    for place, value in (values or {}).items():
        _set(place, value, f"option --{place[-1].replace('_', '-')}", data, origins)
    data.setdefault("run_dir", f"runs/{path.stem}")
    try:
        settings = check(data, root_section(data.get("task", "language"), origins), origins, str(path))
    except ConfigError as error:
        fitting = [] if "task" in data else [task for task in tasks.TASKS if _fits(data | {"task": task})]
        if not fitting:
            raise
        raise ConfigError(
            f"{error}\n{path}: no task is given, so this is language; the keys are those of task: "
            f"{' or '.join(fitting)}"
        ) from error
    seed = () if ("seed",) not in (values or {}) else (f"seed={settings.seed}",)
    return Config(path, settings, (*overrides, *seed))


def from_data(data: dict[str, Any], path: str | Path) -> Config:
    """A Config from plain data (the inverse of `to_data`), checked like a file. Raises ConfigError."""
    return Config(Path(path), check(data, root_section(data.get("task", "language"), {}), {}, str(path)))


def to_data(settings: Section) -> dict[str, Any]:
    """Plain dicts, lists and scalars of a section, defaults included."""
    return msgspec.to_builtins(settings)


def root_section(task: Any, origins: Origins) -> type[Section]:
    """The root settings class of a task name. Raises ConfigError for an unknown one."""
    if not isinstance(task, str) or task not in tasks.TASKS:
        where = f"{origins[('task',)]}: " if ("task",) in origins else ""
        known = ", ".join(tasks.TASKS)
        raise ConfigError(f"{where}task: {task!r} is not a task; choose from {known}{closest(task, tasks.TASKS)}")
    return tasks.module(task, "settings").Config


def _fits(data: dict[str, Any]) -> bool:
    try:
        check(data, root_section(data["task"], {}), {}, "")
    except ConfigError:
        return False
    return True


def _apply(override: str, data: dict[str, Any], origins: Origins) -> None:
    """Set one `section.key=value` in the raw data, remembering where it came from."""
    key, equals, text = override.partition("=")
    parts = tuple(key.strip().split("."))
    if not equals or not all(parts):
        raise ConfigError(f"{override!r} is not an override; write section.key=value, for example train.steps=100")
    _set(parts, yaml_text.parse_value(text, f"override {key}"), f"override {override}", data, origins)


def _set(parts: tuple[str, ...], value: Any, origin: str, data: dict[str, Any], origins: Origins) -> None:
    """Put a value into the raw data. A budget given here takes the place of the file's."""
    place = data
    for depth, part in enumerate(parts[:-1], 1):
        if place.get(part) is None:
            place[part] = {}
            origins.setdefault(parts[:depth], origin)
        place = place[part]
        if not isinstance(place, dict):
            raise ConfigError(f"{origin}: {'.'.join(parts[:depth])} is not a section")
    rivals = _rivals(root_section(data.get("task", "language"), origins), parts, data)
    for rival in rivals if value is not None else ():
        if not origins.get((*parts[:-1], rival), "").startswith("override "):
            place.pop(rival, None)
    place[parts[-1]] = value
    for below in [key for key in origins if key[: len(parts)] == parts]:
        del origins[below]
    origins[parts] = origin


def _rivals(section: Any, parts: tuple[str, ...], data: Any) -> list[str]:
    """The keys that the one at `parts` takes the place of; `data` is raw and tells which of several sections it is."""
    for part in parts[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
        if typing.get_origin(section) is dict:
            variants = _tagged_variants(typing.get_args(section)[1])
            tags = [data.get(kind.__struct_config__.tag_field) for kind in variants.values() if isinstance(data, dict)]
            section = variants.get(str(tags[0])) if tags else None
            continue
        known = isinstance(section, type) and issubclass(section, Section)
        section = next((f.type for f in msgspec.structs.fields(section) if f.name == part), None) if known else None
    fields = section.one_of if isinstance(section, type) and issubclass(section, Section) else ()
    return [field for field in fields if parts[-1] in fields and field != parts[-1]]


# --- checking ---------------------------------------------------------------------------------------------


def check(data: Any, section: Any, origins: Origins, name: str) -> Any:
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


def _convert(value: Any, kind: Any, path: Key, mistake: Mistake) -> Any:
    """The value as its type wants it, or WRONG."""
    variants = _tagged_variants(kind)
    if variants:
        return _convert_variant(value, variants, path, mistake)
    if isinstance(kind, type) and issubclass(kind, Section):
        return _convert_section(value, kind, path, mistake)
    if optional := _optional_section(kind):
        return None if value is None else _convert_section(value, optional, path, mistake)
    if typing.get_origin(kind) is list and _tagged_variants(typing.get_args(kind)[0]) and isinstance(value, list):
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


def _convert_section(value: Any, kind: type[Section], path: Key, mistake: Mistake) -> Any:
    if value is None:
        value = {}  # `train:` with nothing below it
    if not isinstance(value, dict):
        mistake(path, f"expected a section of keys, got {_kind(value)}")
        return WRONG
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    converted = {}
    for key, item in value.items():
        if key == tag:
            continue
        if key not in known:
            names = [*known, *([tag] if tag else [])]
            mistake((*path, key), f"unknown key{closest(key, names) or '; known here: ' + ', '.join(names)}")
            converted[key] = WRONG
        elif item is not None or typing.get_origin(known[key].type) is not dict:  # `compress:` left empty
            converted[key] = _convert(item, known[key].type, (*path, key), mistake)
    named = [name for name in kind.one_of if converted.get(name) is not None]
    if len(named) > 1:
        mistake((*path, named[-1]), f"{' and '.join(named)} are given; name one of {', '.join(kind.one_of)}")
        return WRONG
    missing = [name for name, field in known.items() if field.required and name not in value]
    if missing:
        mistake(path, f"needs {', '.join(missing)}")
    if missing or WRONG in converted.values():
        return WRONG
    try:
        return kind(**converted)
    except ValueError as error:
        mistake(path, str(error))
        return WRONG


def _convert_variant(value: Any, variants: dict[str, type[Section]], path: Key, mistake: Mistake) -> Any:
    if not isinstance(value, dict):
        mistake(path, f"expected a section of keys, got {_kind(value)}")
        return WRONG
    field = str(next(iter(variants.values())).__struct_config__.tag_field)
    chosen = value.get(field)
    if isinstance(chosen, str) and chosen in variants:
        return _convert_section(value, variants[chosen], path, mistake)
    known = ", ".join(variants)
    if field in value:
        mistake((*path, field), f"{chosen!r} is not one of {known}{closest(chosen, variants)}")
    else:
        mistake(path, f"needs {field}: one of {known}")
    return WRONG


def _tagged_variants(kind: Any) -> dict[str, type[Section]]:
    """{tag: class} for a section with a tag, or a union of such; empty for anything else."""
    members = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    sections = [member for member in members if isinstance(member, type) and issubclass(member, Section)]
    tags = {str(member.__struct_config__.tag): member for member in sections if member.__struct_config__.tag}
    return tags if len(tags) == len(members) else {}


def _optional_section(kind: Any) -> type[Section] | None:
    """The section of `Section | None`, else None."""
    members = [part for part in typing.get_args(kind) if part is not type(None)]
    optional = isinstance(kind, types.UnionType) and len(members) == 1 < len(typing.get_args(kind))
    return members[0] if optional and isinstance(members[0], type) and issubclass(members[0], Section) else None


def _explain(message: str, value: Any, kind: Any) -> tuple[Key, str]:
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
        return (*place,), f"expected {kinds}{expected[2]}, got {_kind(value)}"
    return (*place,), message[0].lower() + message[1:]


def _choices(kind: Any) -> list[Any]:
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    return [choice for part in typing.get_args(kind) for choice in _choices(part)]


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a section of keys"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"text {value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + '…'!r}"
    return "null" if value is None else str(value).lower()


def closest(word: Any, choices: typing.Iterable[Any]) -> str:
    """The end of a message on a wrong word: which one may have been meant, or nothing."""
    found = difflib.get_close_matches(str(word), [str(choice) for choice in choices], n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def section(root: type[Section], name: str) -> type[Section]:
    """The class of a section, by its key in the root."""
    return next(field.type for field in msgspec.structs.fields(root) if field.name == name)


def field_type(section: type[Section], name: str) -> Any:
    """The type of a key, without its constraints."""
    kind = next(field.type for field in msgspec.structs.fields(section) if field.name == name)
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return kind


def plain_type(kind: Any) -> Any:
    """int of `int`, of `Annotated[int, …]` and of `int | None`; other types as they are."""
    if typing.get_origin(kind) is Annotated:
        return plain_type(typing.get_args(kind)[0])
    members = [part for part in typing.get_args(kind) if part is not type(None)]
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)  # the latter where a member is Annotated
    return plain_type(members[0]) if union and len(members) == 1 else kind


# --- what a key is for -------------------------------------------------------------------------------------


@cache
def descriptions(section: type[Section]) -> dict[str, str]:
    """{field: the docstring below it}, inherited fields included, read from the source of the class."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if not issubclass(base, Section) or base is Section:
            continue
        [node] = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body
        for field, doc in pairwise(node.body):  # type: ignore[attr-defined]
            text = doc.value if isinstance(doc, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant):
                found[field.target.id] = " ".join(str(text.value).split())  # type: ignore[union-attr]
    return found
