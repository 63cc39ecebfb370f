"""What each task takes from a stranger, and that no name of a file is among it."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from llmkit.errors import ConfigError, InputError
from llmkit.tasks import TASKS
from llmkit.tasks.classify import serve as classify
from llmkit.tasks.image import serve as image
from llmkit.tasks.series import serve as series
from llmkit.tasks.table import serve as table
from llmkit.tasks.translate import serve as translate
from llmkit.tasks.translate.use import Translation
from llmkit.tasks.vision import serve as vision

MODEL = SimpleNamespace(
    read=lambda requests: requests,
    predict=lambda requests: [{"label": "a"} for _ in requests],
    labels=["a", "b"],
    about=SimpleNamespace(step=1.0),
    forecasts=lambda pasts, horizon: [{"name": past.name, "horizon": horizon} for past in pasts],
    candidates=lambda texts, **options: [[Translation(text.upper(), 0.0, 0.0, 1, "end")] * 2 for text in texts],
    generate=lambda count, seed, label: np.zeros((count, 4, 4, 1), np.uint8),
)


def png(width=3, height=2, mode="RGB"):
    data = io.BytesIO()
    Image.new(mode, (width, height)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def test_every_task_is_served_but_the_one_that_writes_texts():
    assert [name for name, task in TASKS.items() if task.serve is None] == ["language"]
    for task in TASKS.values():
        assert task.serve is None or set(task.serve.OPTIONS).isdisjoint({"model", "input", "inputs"})


@pytest.mark.parametrize(
    "given", ["/etc/passwd", "model.png", "", "data:image/png;base64,", 5, None, [], [[1], [1, 2]], {}]
)
def test_a_picture_is_never_read_from_a_file(given):
    with pytest.raises(InputError):
        vision.request(MODEL, given)


def test_pictures_as_files_in_base64_and_as_pixels():
    assert vision.request(MODEL, png()).shape == (2, 3, 3)
    assert vision.request(MODEL, f"data:image/png;base64,{png(mode='L')}").shape == (2, 3)
    assert vision.request(MODEL, [[0, 255], [1.0, 2]]).dtype == np.uint8
    for wrong in ([[0, 256]], [[-1, 0]], [["a"]]):
        with pytest.raises(InputError):
            vision.request(MODEL, wrong)
    assert vision.answer(MODEL, [1, 2], {}) == [{"label": "a"}] * 2


def test_a_picture_that_unpacks_to_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr(vision, "MOST_PIXELS", 5)
    with pytest.raises(InputError, match="more than 5 pixels"):
        vision.request(MODEL, png())


@pytest.mark.parametrize(("task", "wrong"), [(table, "row"), (table, [1]), (classify, {"text": "a"}), (translate, 5)])
def test_what_is_no_input_is_refused(task, wrong):
    with pytest.raises(InputError):
        task.request(MODEL, wrong)


def test_rows_texts_and_sources():
    assert table.answer(MODEL, [table.request(MODEL, {"a": 1})], {}) == [{"label": "a"}]
    assert classify.answer(MODEL, [classify.request(MODEL, "a text")], {}) == [{"label": "a"}]
    [found] = translate.answer(MODEL, [translate.request(MODEL, "abc")], {"n_best": 2})
    assert found["text"] == "ABC" and len(found["candidates"]) == 2


def test_histories():
    past = series.request(MODEL, [1, None, 3])
    assert series.answer(MODEL, [past], {"horizon": 3}) == [{"name": "history 1", "horizon": 3}]
    for horizon in (0, 10_001, 1.5, True, "3"):
        with pytest.raises(ConfigError, match="horizon"):
            series.answer(MODEL, [past], {"horizon": horizon})


def test_pictures_that_are_made():
    assert image.request(MODEL, {"n": 2, "seed": 3, "label": "b"}) == (2, 3, "b")
    [found] = image.answer(MODEL, [(2, 3, "b")], {})
    picture = Image.open(io.BytesIO(base64.b64decode(found["images"][1]["b64_json"])))
    assert picture.size == (4, 4)
    for wrong in ("cat", {"n": 101}, {"n": True}, {"seed": -1}, {"label": "z"}, {"to": "/tmp"}):
        with pytest.raises(InputError):
            image.request(MODEL, wrong)
