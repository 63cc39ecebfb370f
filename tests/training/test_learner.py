"""learner.py: what goes around a learner has all that a learner has, and hands all of it on."""

import inspect
from typing import Any, get_type_hints
from unittest.mock import create_autospec, sentinel

import pytest
from small_learners import Counting

from llmkit.config.training import Training
from llmkit.training import loop
from llmkit.training.learner import Finish, Learner, Wrapping

VALUES = set(get_type_hints(Learner))
PROPERTIES = {name for name, _ in inspect.getmembers(Learner, inspect.isdatadescriptor) if not name.startswith("_")}
METHODS = {name for name, _ in inspect.getmembers(Learner, inspect.isfunction) if not name.startswith("_")}


@pytest.fixture
def inner() -> Any:
    """A learner with a value of its own for each of the protocol's, whose calls are noted."""
    learner = create_autospec(Learner, instance=True)
    for name in VALUES | PROPERTIES:
        setattr(learner, name, getattr(sentinel, name))
    return learner


def test_the_protocol_has_members_of_each_kind():
    assert {"unit", "hardware"} <= VALUES and {"count", "epochs"} <= PROPERTIES and {"step", "finish"} <= METHODS


def test_values_and_properties_are_those_of_the_learner_inside(inner):
    wrapping = Wrapping(inner)
    for name in VALUES | PROPERTIES:
        assert getattr(wrapping, name) is getattr(sentinel, name), name
    inner.count = 7  # it goes on counting
    assert wrapping.count == 7


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_is_handed_on(inner, name):
    signature = inspect.signature(getattr(Learner, name))
    assert inspect.signature(vars(Wrapping)[name]) == signature
    arguments = [getattr(sentinel, parameter) for parameter in signature.parameters if parameter != "self"]
    answer = getattr(Wrapping(inner), name)(*arguments)
    method = getattr(inner, name)
    method.assert_called_once_with(*arguments)
    assert answer is (None if signature.return_annotation is None else method.return_value)


def test_the_loop_drives_a_learner_in_a_wrapping_as_it_is(tmp_path):
    class Doubled(Wrapping):
        """Two steps at once."""

        def step(self, rate, spent):
            super().step(rate, spent)
            return super().step(rate, spent)

    settings = Training(steps=3, validation_steps=1)
    learner = Doubled(Wrapping(Counting([3.0, 1.0, 2.0])))
    outcome = loop.run(learner, settings, tmp_path, {}, lambda event: None, lambda message: None)
    assert (outcome.count, outcome.best_step, outcome.weights["number"].tolist()) == (60, 2, [4.0])


def test_a_training_adds_nothing_at_its_end_unless_it_says_so():
    assert Finish() == Finish({}, {}, [])
    assert Finish().files is not Finish().files
