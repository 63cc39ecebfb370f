"""Overrides (`section.key=value`) and options: what they replace, how a wrong one is named."""

import pytest

from llmkit import tasks
from llmkit.tasks.language.settings import Train

KNOWN_TASKS = ", ".join(tasks.TASKS)


def test_an_override_takes_the_place_of_the_file_and_of_defaults(load):
    loaded = load("train: {learning_rate: 0.5}", "train.learning_rate=1e-4", "model.layers=3", "seed=9")
    assert loaded.settings.train.learning_rate == 0.0001
    assert (loaded.settings.model.layers, loaded.settings.seed) == (3, 9)


def test_an_override_takes_yaml_values(load):
    loaded = load(
        "",
        "prepare.files=[a.txt, 'b.txt']",
        "generate.greedy=true",
        "generate.stop=no",
        "tune.max_minutes=null",
    )
    assert loaded.settings.prepare.files == ["a.txt", "b.txt"]
    assert loaded.settings.generate.greedy is True
    assert loaded.settings.generate.stop == "no"
    assert loaded.settings.tune.max_minutes is None


def test_a_comparison_in_an_override_needs_no_quotes(load):
    assert load("", "evaluate.require.accuracy=>= 0.8").settings.evaluate.require == {"accuracy": ">= 0.8"}


def test_the_value_of_an_override_may_hold_an_equals_sign(load):
    assert load("", "generate.stop==").settings.generate.stop == "="


def test_a_budget_of_an_override_replaces_that_of_a_variant_in_the_file(load):
    loaded = load("compress: {a: {method: prune, max_minutes: 1}}", "compress.a.steps=5")
    assert (loaded.settings.compress["a"].steps, loaded.settings.compress["a"].max_minutes) == (5, None)
    assert load("compress: {a: {method: quantize}}", "compress.a.bits=8").settings.compress["a"].bits == 8


@pytest.mark.parametrize(("override", "budget"), [("steps=5", ("steps", 5)), ("epochs=0.5", ("epochs", 0.5))])
def test_a_budget_of_an_override_replaces_that_of_the_file(load, override, budget):
    loaded = load("train: {max_minutes: 9, batch_size: 4}", f"train.{override}")
    assert loaded.settings.train.budget == budget
    assert loaded.settings.train.max_minutes is None
    assert loaded.settings.train.batch_size == 4


def test_an_override_of_no_budget_leaves_that_of_the_file(load):
    assert load("train: {steps: 7}", "train.max_minutes=null").settings.train.budget == ("steps", 7)


def test_an_override_of_a_whole_section_replaces_it(load):
    loaded = load("train: {max_minutes: 9, batch_size: 4}", "train={steps: 5}")
    assert loaded.settings.train.budget == ("steps", 5)
    assert loaded.settings.train.batch_size == Train().batch_size


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.stps=5"], "override train.stps=5: train.stps: unknown key; did you mean steps?"),
        (["trian.steps=5"], "override trian.steps=5: trian: unknown key; did you mean train?"),
        (
            ["train.steps=soon"],
            "override train.steps=soon: train.steps: expected a whole number or null, got text 'soon'",
        ),
        (
            ["train={batch_size: x}"],
            "override train={batch_size: x}: train.batch_size: expected a whole number, got text 'x'",
        ),
        (
            ["task=langage"],
            f"override task=langage: task: 'langage' is not a task; choose from {KNOWN_TASKS}; did you mean language?",
        ),
        (["train.learning_rate=.inf"], "override train.learning_rate: .inf is not a finite number"),
        (
            ["train.steps=5", "train.epochs=1"],
            "override train.epochs=1: train.epochs: steps and epochs are given; name one of max_minutes, steps, epochs",
        ),
    ],
)
def test_a_wrong_override_is_named(mistakes, overrides, message):
    assert mistakes("train: {max_minutes: 9, batch_size: 4}\nseed: 3", *overrides) == [message]


def test_values_of_options_are_taken_as_they_are(load, mistakes):
    assert load("", values={("generate", "prompt"): ["5: x"]}).settings.generate.prompt == ["5: x"]
    assert mistakes("", values={("generate", "top_k"): -1}) == [
        "option --top-k: generate.top_k: expected a whole number >= 0, got -1"
    ]
