"""file.py: a file, overrides and options to plain data, each value with the place it comes from; nothing is checked."""

from pathlib import Path

import pytest

from llmkit.config import file
from llmkit.config.schema import Section
from llmkit.errors import ConfigError, InputError


class Budgets(Section):
    """A section of which one key at most holds."""

    one_of = ("minutes", "steps")


class Train(Budgets):
    """As a task has it."""

    minutes: float | None = None
    steps: int | None = None
    rate: float = 0.1


class Prune(Budgets, tag_field="method", tag="prune"):
    """A variant with a budget."""

    minutes: float | None = None
    steps: int | None = None


class Quantize(Section, tag_field="method", tag="quantize"):
    """A variant without one."""


class Toy(Section):
    """A whole config."""

    train: Train = Train()
    compress: dict[str, Prune | Quantize] = {}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a config's text with overrides and options: data, and the place of each key, dotted."""
    monkeypatch.chdir(tmp_path)

    def read(text, *overrides, options=None):
        Path("c.yaml").write_text(text, encoding="utf-8")
        data, origins = file.read(Path("c.yaml"), overrides, options or {}, lambda data, origins: Toy)
        return data, {".".join(map(str, place)): origin for place, origin in origins.items()}

    return read


def test_values_come_from_lines_of_the_file(read):
    data, origins = read("train:\n  rate: 1e-4\n\nfiles: [a,\n  b]\nnonsense: {x: no}\n")
    assert data == {"train": {"rate": 0.0001}, "files": ["a", "b"], "nonsense": {"x": "no"}}
    assert origins == {
        "train": "c.yaml:1",
        "train.rate": "c.yaml:2",
        "files": "c.yaml:4",
        "files.0": "c.yaml:4",
        "files.1": "c.yaml:5",
        "nonsense": "c.yaml:6",
        "nonsense.x": "c.yaml:6",
    }


def test_an_empty_file_is_no_keys(read):
    assert read("") == ({}, {})
    assert read("", "train.rate=0.5") == (
        {"train": {"rate": 0.5}},
        {"train": "override train.rate=0.5", "train.rate": "override train.rate=0.5"},
    )


def test_overrides_then_options_take_the_place_of_the_file(read):
    data, origins = read("a: 1\nb: 1\nc: 1\n", "b=2", "c=[2, 3]", options={("c",): 4, ("train", "top_rate"): "5: x"})
    assert data == {"a": 1, "b": 2, "c": 4, "train": {"top_rate": "5: x"}}  # what an option says is no YAML
    assert [origins[key] for key in "abc"] == ["c.yaml:1", "override b=2", "option --c"]
    assert origins["train.top_rate"] == "option --top-rate"


def test_nothing_is_left_of_a_section_that_an_override_replaces(read):
    data, origins = read("train: {rate: 1, steps: 2}\n", "train={minutes: 3}")
    assert data == {"train": {"minutes": 3}}
    assert origins == {"train": "override train={minutes: 3}"}


@pytest.mark.parametrize(
    ("text", "overrides", "options", "data"),
    [
        ("train: {minutes: 3, rate: 1}", ["train.steps=5"], {}, {"train": {"steps": 5, "rate": 1}}),
        ("train: {minutes: 3}", [], {("train", "steps"): 5}, {"train": {"steps": 5}}),
        ("train: {steps: 3}", ["train.minutes=null"], {}, {"train": {"steps": 3, "minutes": None}}),
        ("train: {minutes: 3}", ["train.rate=5"], {}, {"train": {"minutes": 3, "rate": 5}}),
        # two overrides contradict each other: both stay, for the check to say so
        ("train: {}", ["train.minutes=1", "train.steps=5"], {}, {"train": {"minutes": 1, "steps": 5}}),
        ("compress: {a: {method: prune, minutes: 1}}", ["compress.a.steps=5"], {}, {"a": {"steps": 5}}),
        (
            "compress: {a: {method: quantize, minutes: 1}}",
            ["compress.a.steps=5"],
            {},
            {"a": {"minutes": 1, "steps": 5}},
        ),
        ("compress: {a: {minutes: 1}}", ["compress.a.steps=5"], {}, {"a": {"minutes": 1, "steps": 5}}),
        ("compress: {a: {method: [b], minutes: 1}}", ["compress.a.steps=5"], {}, {"a": {"minutes": 1, "steps": 5}}),
        ("elsewhere: {minutes: 1}", ["elsewhere.steps=5"], {}, {"elsewhere": {"minutes": 1, "steps": 5}}),
    ],
)
def test_a_budget_on_the_command_line_takes_the_place_of_the_files(read, text, overrides, options, data):
    found, _ = read(text, *overrides, options=options)
    variants = found.get("compress", {})
    for variant in variants.values():
        variant.pop("method", None)
    assert (variants or found) == data


def test_which_root_it_is_may_follow_from_the_data(tmp_path):
    (tmp_path / "c.yaml").write_text("task: other\ntrain: {minutes: 3}")
    seen = []

    def root_of(data, origins):
        seen.append((data["task"], origins["task",].rpartition(":")[2]))
        return Toy

    data, _ = file.read(tmp_path / "c.yaml", ["train.steps=1"], {}, root_of)
    assert data["train"] == {"steps": 1}
    assert seen == [("other", "1")]


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("", ["train.steps"], "'train.steps' is not an override; write section.key=value, for example train.steps=100"),
        ("", ["=5"], "'=5' is not an override; write section.key=value, for example train.steps=100"),
        ("", ["train..steps=5"], "'train..steps=5' is not an override; write section.key=value, for example train.st"),
        ("seed: 3", ["seed.x=1"], "override seed.x=1: seed is not a section"),
        ("", ["train.steps=[1"], "override train.steps: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("- a", [], "c.yaml:1: a config is a mapping of sections such as `task: language`, not a list"),
        ("a: 1\na: 2", [], "c.yaml:2: duplicate key 'a', first given on line 1; keep one"),
    ],
)
def test_what_is_no_config_and_no_override(read, text, overrides, message):
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    assert str(caught.value).startswith(message)


def test_a_file_that_cannot_be_read(tmp_path):
    def read(path):
        file.read(path, (), {}, lambda data, origins: Toy)

    with pytest.raises(InputError, match=r"nowhere.yaml does not exist; make one with: llmkit init .*nowhere.yaml"):
        read(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"seed: 1 # \xff\n")
    with pytest.raises(InputError, match=r"binary.yaml is not UTF-8 text \(byte 10\)"):
        read(tmp_path / "binary.yaml")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)
