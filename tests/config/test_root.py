"""root.py: what the configs of all tasks share, checked with sections of any kind."""

import pytest

from llmkit.config import schema
from llmkit.config.root import Root
from llmkit.config.schema import Section
from llmkit.config.variants import Quantize
from llmkit.errors import ConfigError
from llmkit.tasks import TASKS


class Model(Section):
    """A network."""

    width: int = 4


class Nothing(Section):
    """A section without a key."""


class Toy(Root):
    """A task's config, which names the sections that have nothing in common, and the methods that it offers."""

    prepare: Nothing = Nothing()
    model: Model = Model()
    generate: Nothing = Nothing()
    compress: dict[str, Quantize] = {}


def test_a_task_names_its_own_sections_and_inherits_the_others():
    found = schema.check({"task": "toy", "model": {"width": 2}, "train": {"steps": 3}}, Toy, {}, "c.yaml")
    assert (found.model, found.train.budget) == (Model(width=2), ("steps", 3))
    assert (found.seed, found.run_dir) == (1, "runs/default")
    assert found.evaluate.split == "test" and found.tune.trials == 20
    assert schema.check(schema.to_data(found), Toy, {}, "c.yaml") == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seed": -1}, "seed: expected a whole number >= 0, got -1"),
        ({"seed": 2**32}, "seed: expected a whole number <= 4294967295, got 4294967296"),
        ({"run_dir": ""}, "run_dir: expected text of length >= 1, got text ''"),
        ({"model": {"witdh": 1}}, "model.witdh: unknown key; did you mean width?"),
        (
            {"compress": {"tuned": {"method": "quantize"}}},
            "compress.tuned: the name is taken: tuned is what llmkit cal",
        ),
        ({"compress": {"a b": {"method": "quantize"}}}, "compress.a b: a variant's name is a folder's"),
    ],
)
def test_what_no_config_may_say(data, message):
    with pytest.raises(ConfigError) as caught:
        schema.check({"task": "toy"} | data, Toy, {}, "c.yaml")
    assert str(caught.value).startswith(f"c.yaml: {message}")


def test_a_config_needs_its_task():
    with pytest.raises(ConfigError, match="^c.yaml: needs task$"):
        schema.check({}, Toy, {}, "c.yaml")


def test_every_task_has_all_sections_as_sections_of_its_own_or_these():
    for task in TASKS.values():
        config = task.settings.Config()
        for name in ("prepare", "model", "train", "tune", "generate", "evaluate"):
            shared = getattr(Root(task=task.name), name)
            assert isinstance(getattr(config, name), type(shared)), f"{task.name}: {name}"
