"""Damage to the content of each file of a model folder: an answer, or an InputError."""

from pathlib import Path
from typing import Any

import pytest
from damaged_content import try_each

import llmkit


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["model", "int8"])
def test_a_damaged_folder_is_refused_or_gives_an_answer(series_run: Any, tmp_path: Path, name: str) -> None:
    def use(place: Path) -> object:
        model = llmkit.load(place)
        return model.forecast(), model.forecast({"values": [1, 2, None, 4], "start": "2024-03-01"}, horizon=9)

    assert try_each(getattr(series_run, name), tmp_path, use, every=23) > 8
