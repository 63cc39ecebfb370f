"""A config without the keys that name a place."""

from typing import Any

import pytest

from llmkit.config.places import data_without_places, without_places
from llmkit.config.schema import to_data
from llmkit.tasks import TASKS, experiment as experiments

PLACES = {
    "language": "run_dir prepare.files train.start_from generate.prompt generate.prompt_file",
    "classify": "run_dir prepare.files prepare.tokenizer.file train.start_from generate.prompt generate.prompt_file",
    "table": "run_dir prepare.files train.start_from generate.prompt generate.prompt_file",
    "series": "run_dir prepare.files train.start_from generate.prompt generate.prompt_file",
    "vision": "run_dir prepare.files prepare.labels train.start_from generate.prompt generate.prompt_file",
    "image": "run_dir prepare.files prepare.labels train.start_from generate.to",
    "translate": (
        "run_dir prepare.files prepare.source_files prepare.target_files train.start_from generate.prompt "
        "generate.prompt_file"
    ),
}


EVERYTHING = {
    "run_dir": "/r",
    "seed": 7,
    "prepare.files": "/usr/**",
    "prepare.encoding": "latin-1",
    "prepare.tokenizer.file": "/t.json",
    "prepare.labels": "/l.npy",
    "prepare.source_files": "/s.txt",
    "prepare.target_files": "/t.txt",
    "train.start_from": "/start",
    "train.steps": 3,
    "generate.prompt": "-",
    "generate.prompt_file": "/etc/passwd",
    "generate.to": "/home",
}
COMPRESS = {
    "int8": {"method": "quantize"},
    "student": {"method": "distil", "teacher": "/t"},
    "alone": {"method": "distil"},
    "soup": {"method": "fuse", "members": ["/a", "/b"]},
    "both": {"method": "chain", "steps": [{"method": "distil", "teacher": "/t"}, {"method": "quantize"}]},
    "neither": {"method": "chain", "steps": [{"method": "distil"}, {"method": "quantize"}]},
}


def settings_of(task: str) -> Any:
    data: dict[str, Any] = {"task": task, "compress": COMPRESS if task != "image" else {"int8": COMPRESS["int8"]}}
    known = PLACES[task].split()
    others = ("seed", "train.steps", "prepare.encoding")[: 2 if task in ("image", "vision") else 3]
    for key, value in EVERYTHING.items():
        *outer, last = key.split(".")
        if key in known or key in others:
            place = data
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
    return experiments.settings_of(data, "x.yaml")


def value_at(data: Any, key: str) -> Any:
    for name in key.split("."):
        data = data[name]
    return data


@pytest.mark.parametrize("task", TASKS)
def test_a_config_without_places(task: str) -> None:
    given = settings_of(task)
    found, default = without_places(given), to_data(TASKS[task].settings.Config())
    for key in PLACES[task].split():
        assert value_at(to_data(given), key) == EVERYTHING[key]
        assert value_at(to_data(found), key) == value_at(default, key)
    assert (found.seed, found.train.steps) == (7, 3)
    assert list(found.compress) == (["int8"] if task == "image" else ["int8", "alone", "neither"])
    data = data_without_places(given)
    for key in PLACES[task].split():
        with pytest.raises(KeyError):
            value_at(data, key)
    assert experiments.settings_of(data, "x.yaml") == found
