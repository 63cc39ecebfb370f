"""callbacks.py: a console takes what the types of the callbacks hand over."""

import inspect
import typing

import pytest

from llmkit.console import callbacks
from llmkit.console.messages import Console


@pytest.mark.parametrize(
    ("kind", "method", "values"),
    [
        (callbacks.Progress, Console.progress, ("reading", 3.0, None)),
        (callbacks.Warn, Console.warn, ("look out",)),
    ],
)
def test_a_console_has_both(kind, method, values):
    parameters, answer = typing.get_args(kind)
    assert answer is None
    bound = inspect.signature(method).bind(Console(0), *values)  # raises where it takes something else
    wanted = [inspect.signature(method).parameters[name].annotation for name in list(bound.arguments)[1:]]
    assert wanted == list(parameters)
