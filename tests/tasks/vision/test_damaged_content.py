"""Damage to the content of each file of a model folder: an answer, or an InputError."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_content import try_each
from small_pictures import squares

import llmkit
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.vision import baseline, pixels

PIXELS, _ = squares(2)


@pytest.mark.parametrize("name", ["model", "int8"])
def test_a_damaged_folder_is_refused_or_gives_an_answer(vision_run: Any, tmp_path: Path, name: str) -> None:
    def use(place: Path) -> object:
        model = llmkit.load(place)
        folder = experiments.read_model(place)
        found = baseline.measure(folder, pixels.read(folder), PIXELS, np.array([0, 1]), model.labels)
        return model.predict(PIXELS), model.explain(PIXELS[0]), found

    assert try_each(getattr(vision_run, name), tmp_path, use, every=31) > 8
    assert artifacts.read(vision_run.model)
