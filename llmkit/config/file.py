"""One YAML file plus overrides and options -> plain data, with the place that each value comes from.

Nothing is checked here but the text itself; `schema.check` does that, and needs the places for its messages.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from llmkit.config import yaml_text
from llmkit.config.schema import Kind, Origins, Section, kind_of, section_class, tag_field, tagged_variants
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json

RootOf = Callable[[Mapping[str, object], Origins], type[Section]]
"""Which root section plain data is checked as, by its key `task`."""


def read(
    path: Path, overrides: Sequence[str], options: Mapping[tuple[str, ...], object], root_of: RootOf
) -> tuple[Json, Origins]:
    """A config file, then overrides (`section.key=value`), then `options`, which are taken as they are.

    Raises InputError where the file cannot be read and ConfigError where it or an override is no YAML.
    """
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
        raise ConfigError(f"{path}:1: a config is a mapping of sections such as `task: language`, not {kind_of(data)}")
    origins: Origins = {place: f"{path}:{line}" for place, line in lines.items()}
    override(data, origins, overrides, options, root_of)
    return data, origins


def override(
    data: Json,
    origins: Origins,
    overrides: Sequence[str],
    options: Mapping[tuple[str, ...], object],
    root_of: RootOf,
) -> None:
    """Put overrides, then options into plain data and their origins. Raises ConfigError."""
    for one in overrides:
        _apply(one, data, origins, root_of)
    for place, value in options.items():
        _set(place, value, f"option --{place[-1].replace('_', '-')}", data, origins, root_of)


def _apply(override: str, data: Json, origins: Origins, root_of: RootOf) -> None:
    """Set one `section.key=value` in the raw data, remembering where it came from."""
    key, equals, text = override.partition("=")
    parts = tuple(key.strip().split("."))
    if not equals or not all(parts):
        raise ConfigError(f"{override!r} is not an override; write section.key=value, for example train.steps=100")
    _set(parts, yaml_text.parse_value(text, f"override {key}"), f"override {override}", data, origins, root_of)


def _set(parts: tuple[str, ...], value: object, origin: str, data: Json, origins: Origins, root_of: RootOf) -> None:
    """Put a value into the raw data. A budget given here takes the place of the file's."""
    place = data
    for depth, part in enumerate(parts[:-1], 1):
        if place.get(part) is None:
            place[part] = {}
            origins.setdefault(parts[:depth], origin)
        place = place[part]
        if not isinstance(place, dict):
            raise ConfigError(f"{origin}: {'.'.join(parts[:depth])} is not a section")
    rivals = _rivals(root_of(data, origins), parts, data)
    for rival in rivals if value is not None else ():
        if not origins.get((*parts[:-1], rival), "").startswith("override "):
            place.pop(rival, None)
    place[parts[-1]] = value
    for below in [key for key in origins if key[: len(parts)] == parts]:
        del origins[below]
    origins[parts] = origin


def _rivals(section: Kind, parts: tuple[str, ...], data: object) -> list[str]:
    """The keys that the one at `parts` takes the place of; `data` is raw and tells which of several sections it is."""
    for part in parts[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
        if typing.get_origin(section) is dict:
            variants = tagged_variants(typing.get_args(section)[1])
            section = variants.get(str(data.get(tag_field(variants)))) if variants and isinstance(data, dict) else None
            continue
        known = section_class(section) is not None
        section = next((f.type for f in msgspec.structs.fields(section) if f.name == part), None) if known else None
    found = section_class(section)
    fields = found.one_of if found else ()
    return [field for field in fields if parts[-1] in fields and field != parts[-1]]
