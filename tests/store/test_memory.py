"""Half of what the machine has, or less where a container has less."""

import os
from pathlib import Path

import pytest

from llmkit.store import memory


def test_half_of_the_machine_or_of_its_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "gone"), str(limit)))
    for text, bytes_ in (("max\n", 2_048_000), ("1000000\n", 500_000), ("9999999999\n", 2_048_000)):
        limit.write_text(text)
        memory.most_bytes.cache_clear()
        assert memory.most_bytes() == bytes_
    memory.most_bytes.cache_clear()
