"""Every section that a config of any task can have."""

import typing

import msgspec

from llmkit.config.schema import Section, section_class
from llmkit.tasks import TASKS


def sections(kind: typing.Any) -> set[type[Section]]:
    """Every section that a type is or holds: in its fields, in a mapping's values, in a union."""
    if section := section_class(kind):
        return {section}.union(*(sections(field.type) for field in msgspec.structs.fields(kind)))
    return set().union(*map(sections, typing.get_args(kind)))


ALL_SECTIONS = sorted(
    set().union(*(sections(TASKS[task].settings.Config) for task in TASKS)),
    key=lambda kind: kind.__qualname__,
)
