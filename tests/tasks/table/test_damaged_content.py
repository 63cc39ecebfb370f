"""Damage to the content of each file of a model folder: an answer, or an InputError."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_content import try_each
from hostile_folders import forge

import llmkit
from llmkit.store import artifacts


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["model", "int8"])
def test_a_damaged_folder_is_refused_or_gives_an_answer(table_run: Any, tmp_path: Path, name: str) -> None:
    def use(place: Path) -> object:
        model = llmkit.load(place)
        return model.predict({"income": "3", "debt": 4, "home": "own"})

    assert try_each(getattr(table_run, name), tmp_path, use, every=29) > 8


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("split.npy", np.zeros(0, np.uint8), "split holds no example to score"),
        ("split.npy", np.zeros(240, np.uint8), "split holds no example to score"),
        ("numbers.npy", np.zeros((2, 2), np.float64), "does not hold what this model was trained on (IndexError: "),
        ("categories.json", 10**9, "does not hold what this model was trained on (TypeError: "),
    ],
)
def test_prepared_data_that_came_with_a_folder(
    llmkit: Any, table_run: Any, tmp_path: Path, name: str, data: Any, says: str
) -> None:
    for folder in ("prepared", "model"):
        shutil.copytree(table_run.run_dir / folder, tmp_path / folder)
    file = io.BytesIO()
    if isinstance(data, int):
        file.write(str(data).encode())
    else:
        np.save(file, data)
    forge(tmp_path / "prepared", {name: file.getvalue()})
    forge(tmp_path / "model", parents={"prepared": artifacts.read(tmp_path / "prepared").hash})
    ran = llmkit("evaluate", tmp_path / "model")
    assert (ran.code, ran.out) == (3, "") and says in ran.error
