"""fields.py: what settings classes say of their keys, types and the docstring below each; every key has one."""

import re
from typing import Annotated

import msgspec
import pytest
from all_sections import ALL_SECTIONS
from msgspec import Meta

from llmkit.config import fields
from llmkit.config.root import Root
from llmkit.config.schema import Section
from llmkit.config.training import Training
from llmkit.config.variants import Distil
from llmkit.tasks import TASKS


def test_the_search_for_sections_finds_those_inside():
    names = {kind.__name__ for kind in ALL_SECTIONS}
    assert {
        "Config",
        "Prepare",
        "Tokenizer",
        "Split",
        "Train",
        "Tune",
        "Range",
        "Quantize",
        "Evaluate",
    } <= names


@pytest.mark.parametrize("section", ALL_SECTIONS, ids=lambda kind: kind.__qualname__)
def test_every_key_says_what_it_is_for(section):
    found = fields.descriptions(section)
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            assert field.type.__dict__.get("__doc__"), f"{field.type} has no docstring"
        else:
            assert re.search(r"\w\w", found.get(field.name, "")), f"{section.__name__}.{field.name} has no docstring"
    assert section.__dict__.get("__doc__")
    assert found.keys() <= {field.name for field in msgspec.structs.fields(section)}


class Base(Section):
    """A base."""

    size: int = 1
    """Bytes of it,
    altogether."""


class Inherited(Base):
    """More."""

    bare: int = 2
    said: int = 3
    "Short."


def test_descriptions_are_the_docstrings_below_the_fields():
    assert fields.descriptions(Inherited) == {"size": "Bytes of it, altogether.", "said": "Short."}


Count = Annotated[int, Meta(ge=1)]


class Types(Section):
    """Keys of several types."""

    plain: int = 1
    bounded: Count = 1
    optional: int | None = None
    both: Count | None = None
    several: int | str = 1
    many: list[int] = []


@pytest.mark.parametrize(
    ("key", "kind", "plain"),
    [
        ("plain", int, int),
        ("bounded", int, int),
        ("optional", int | None, int),
        ("both", Count | None, int),
        ("several", int | str, int | str),
        ("many", list[int], list[int]),
    ],
)
def test_types_of_keys(key, kind, plain):
    found = fields.field_type(Types, key)
    assert found == kind
    assert fields.plain_type(found) == plain


def test_a_section_by_its_key():
    assert fields.section(Root, "train") is Training
    for task in TASKS.values():
        assert fields.section(task.settings.Config, "train") is type(task.settings.Config().train)


def test_a_generic_section_says_what_its_class_does():
    model = TASKS["language"].settings.Model
    assert fields.descriptions(Distil[model]) == fields.descriptions(Distil)
    assert fields.descriptions(Distil[model])["teacher"] == "A model folder to learn from in place of the original."
    assert "temperature" in fields.descriptions(Distil[model])  # of the class it inherits from
