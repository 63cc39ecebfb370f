"""reference.py: the page of all keys, made from the settings."""

from pathlib import Path

import msgspec
from all_sections import ALL_SECTIONS

import llmkit
from llmkit.cli import reference

ROOT = Path(llmkit.__file__).parents[1]


def test_the_config_reference_names_every_key_and_is_up_to_date():
    text = reference.text()
    for section in ALL_SECTIONS:
        for field in msgspec.structs.fields(section):
            assert f"| `{field.name}` |" in text or f"{field.name}\n" in text
    committed = ROOT / "docs" / "config.md"
    if committed.exists():
        assert committed.read_text(encoding="utf-8") == text, "run: make docs"
