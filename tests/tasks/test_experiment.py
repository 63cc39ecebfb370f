"""experiment.py: a config file, plain data or a model folder to task and settings; the command that messages name."""

import shlex
from pathlib import Path

import pytest

from llmkit.config import schema
from llmkit.errors import ConfigError, InputError
from llmkit.tasks import TASKS, experiment as experiments

KNOWN = ", ".join(TASKS)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the text of a config, written to c.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides, options=None):
        Path("c.yaml").write_text(text, encoding="utf-8")
        return experiments.load("c.yaml", overrides, options)

    return load


@pytest.mark.parametrize("name", TASKS)
def test_the_task_that_a_config_names(load, name):
    loaded = load(f"task: {name}")
    assert loaded.task is TASKS[name] is experiments.find(name)
    assert type(loaded.settings) is TASKS[name].settings.Config
    assert load("", f"task={name}").task is TASKS[name]


def test_a_run_has_the_name_of_its_file_unless_it_says_another(load):
    loaded = load("")
    assert loaded.task.name == "language"
    assert (loaded.path, loaded.run_dir, loaded.work) == (Path("c.yaml"), Path("runs/c"), Path("runs/c/work"))
    assert load("run_dir: there/it.is").work == Path("there/it.is/work")


@pytest.mark.parametrize(
    ("name", "closest"), [("langage", "; did you mean language?"), ("sculpture", ""), (["sculpture"], ""), (None, "")]
)
def test_a_task_that_is_none(name, closest):
    message = f"task: {name!r} is not a task; choose from {KNOWN}{closest}"
    for find in (experiments.find, lambda name: experiments.settings_of({"task": name}, "x.yaml")):
        with pytest.raises(ConfigError) as caught:
            find(name)
        assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        experiments.find(name, {("task",): "x.yaml:3"})
    assert str(caught.value) == f"x.yaml:3: {message}"


def test_where_no_task_is_named_those_that_fit_are(load):
    with pytest.raises(ConfigError) as caught:
        load("prepare: {label: tier}\nmodel: {members: 4}")
    *mistakes, hint = str(caught.value).split("\n")
    assert [line.partition(": unknown key")[0] for line in mistakes] == [
        "c.yaml:1: prepare.label",
        "c.yaml:2: model.members",
    ]
    assert hint == "c.yaml: no task is given, so this is language; the keys are those of task: table"
    for text in ("task: language\nprepare: {label: tier}", "prepare: {lable: tier}"):  # said, or of no task at all
        with pytest.raises(ConfigError) as caught:
            load(text)
        assert "no task is given" not in str(caught.value)


def test_plain_data_is_checked_like_a_file_and_comes_back():
    with pytest.raises(ConfigError, match=r"^x.yaml: train.stps: unknown key; did you mean steps\?$"):
        experiments.from_data({"train": {"stps": 3}}, "x.yaml")
    for name in TASKS:
        made = experiments.from_data({"task": name, "train": {"steps": 3}}, "x.yaml")
        assert (made.path, made.overrides, made.settings.train.steps) == (Path("x.yaml"), (), 3)
        assert experiments.settings_of(schema.to_data(made.settings), "x.yaml") == made.settings


def test_the_command_of_a_message_can_be_pasted(load):
    assert load("").command("train") == "llmkit train c.yaml"
    loaded = load("", "prepare.clean=none", "run_dir=some where", options={("seed",): 5})
    command = loaded.command("prepare")
    assert command == "llmkit prepare c.yaml prepare.clean=none 'run_dir=some where' seed=5"
    again = load("", *shlex.split(command)[3:])
    assert again.settings == loaded.settings


def test_a_model_of_another_task_is_refused(tiny_run):
    for task in (None, TASKS["language"]):
        assert experiments.read_model(tiny_run.model, task=task).settings.model.hidden_size == 16
    with pytest.raises(InputError) as caught:
        experiments.read_model(tiny_run.model, task=TASKS["table"])
    problem = f"{tiny_run.model} is a model of task language, not table; name a model of task table"
    assert str(caught.value) == problem
    with pytest.raises(InputError, match="nowhere is missing; run: llmkit train x.yaml$"):
        experiments.read_model(tiny_run.run_dir / "nowhere", made_by="llmkit train x.yaml")
