"""Keys that name a place: a file, a folder, standard input. A model folder's own config is not asked for those.

Whoever made the folder would choose what is read and written by whoever runs it. A section says which of its keys are
such in `places`; for them a folder's config counts as one that leaves them out.
"""

from collections.abc import Iterator

from msgspec import NODEFAULT, structs

from llmkit.config.schema import AnySection, Section, to_data
from llmkit.plain import Json


def without_places(settings: AnySection) -> AnySection:
    """The settings with every key that names a place at its default; what is named by a name of the user's
    (`compress: {NAME: …}`) and names one is left out."""
    changes: dict[str, object] = {}
    for field in structs.fields(settings):
        value = getattr(settings, field.name)
        if field.name in of_section(type(settings)):
            changes[field.name] = field.default if field.default is not NODEFAULT else field.default_factory()
        elif isinstance(value, Section):
            changes[field.name] = without_places(value)
        elif isinstance(value, dict):
            changes[field.name] = {key: item for key, item in value.items() if not _names_one(item)}
    return structs.replace(settings, **changes)


def data_without_places(settings: Section) -> Json:
    """Plain data of the settings, in which the keys that name a place do not stand at all."""
    return _without_keys(without_places(settings))


def _without_keys(settings: Section) -> Json:
    data = to_data(settings)
    for name in of_section(type(settings)):
        del data[name]
    return data | {name: _without_keys(part) for name in data if isinstance(part := getattr(settings, name), Section)}


def of_section(section: type[Section]) -> set[str]:
    """The keys of a section that name a place, those of its bases among them."""
    return {name for base in section.__mro__ if issubclass(base, Section) for name in base.places}


def _names_one(value: object) -> bool:
    """Whether a section, or one below it, has a place named."""
    if isinstance(value, list):
        return any(map(_names_one, value))
    return isinstance(value, Section) and any(_named(value))


def _named(section: Section) -> Iterator[bool]:
    for field in structs.fields(section):
        value = getattr(section, field.name)
        yield _names_one(value) or (field.name in of_section(type(section)) and bool(value))
