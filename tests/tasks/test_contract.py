"""Every task's modules against the protocols of `llmkit/tasks/contract.py`: what is missing is named."""

import inspect
import typing
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from llmkit.cli.reference import sections
from llmkit.config.places import of_section
from llmkit.config.schema import section_class
from llmkit.tasks import TASKS, contract

REQUIRED = {
    "settings": contract.Settings,
    "prepare": contract.Prepare,
    "train": contract.Train,
    "use": contract.Use,
    "generate": contract.Generate,
    "evaluate": contract.Evaluate,
}
OPTIONAL = {
    "folds": contract.Folds,
    "report": contract.Report,
    "serve": contract.Serve,
    "compress": contract.Compress,
    "units": contract.Units,
    "four_bits": contract.FourBits,
    "calibration": contract.Calibration,
}
OFFERED = [
    (task, name, protocol)
    for task in TASKS.values()
    for name, protocol in (REQUIRED | OPTIONAL).items()
    if getattr(task, name) is not None
]


def missing(module: Any, protocol: type) -> list[str]:
    """A line for each name of a protocol that a module lacks or has with other parameters."""
    lines = [f"{name}: missing" for name in vars(protocol).get("__annotations__", {}) if not hasattr(module, name)]
    for name, wanted in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        function = getattr(module, name, None)
        if not inspect.isfunction(function):
            lines.append(f"{name}: missing")
            continue
        expected = [parameter.name for parameter in inspect.signature(wanted).parameters.values()][1:]  # without self
        optional = [p.name for p in inspect.signature(wanted).parameters.values() if p.default is not p.empty]
        found = inspect.signature(function).parameters
        if list(found) != expected:
            lines.append(f"{name}: takes ({', '.join(found)}), not ({', '.join(expected)})")
        lines += [f"{name}: {p} has no default" for p in optional if p in found and found[p].default is inspect._empty]
    return lines


@pytest.mark.parametrize(("task", "name", "protocol"), OFFERED, ids=[f"{task.name}.{n}" for task, n, _ in OFFERED])
def test_a_task_has_what_the_contract_asks_for(task, name, protocol):
    assert missing(getattr(task, name), protocol) == []


def test_every_task_has_the_required_modules():
    for task in TASKS.values():
        for name in REQUIRED:
            assert isinstance(getattr(task, name), ModuleType)


def test_every_protocol_of_a_module_is_checked_here():
    protocols = {kind for _, kind in inspect.getmembers(contract, inspect.isclass) if getattr(kind, "_is_protocol", 0)}
    assert {kind for kind in protocols if kind.__module__ == contract.__name__} == {
        *REQUIRED.values(),
        *OPTIONAL.values(),
    }


def test_what_is_missing_or_takes_something_else_is_named():
    def fold(prepared, out):
        pass

    assert missing(SimpleNamespace(fold=fold), contract.Folds) == [
        "METRICS: missing",
        "fold: takes (prepared, out), not (prepared, out, number, count, settings, seed)",
    ]
    assert missing(SimpleNamespace(), contract.Use) == ["load: missing"]


def test_a_task_that_does_not_offer_something_has_none_there():
    assert TASKS["image"].compress is None and TASKS["image"].folds is None
    assert TASKS["language"].calibration is None and TASKS["table"].units is None
    assert TASKS["language"].units is not None and TASKS["image"].calibration is not None


def test_root_sections_name_their_task_and_its_sections():
    for name, task in TASKS.items():
        assert task.settings.Config().task == name
        assert set(task.settings.STARTS_FROM) <= set(TASKS)
        assert task.starter.read_text().startswith("#")


# Text that is no place, by its key, whatever the section.
OTHER_TEXT = {
    *("search", "choices", "field", "encoding", "clean", "stop", "require", "text", "label", "negations"),
    *("numbers", "categories", "dates", "delimiter", "group", "ignore", "missing", "task", "time", "weight"),
    *("path", "recipients", "series", "source", "split_column", "target", "value"),
    *("licence", "contact", "intended_use", "limits"),
}


def holds_text(kind: Any) -> bool:
    """Whether a key of this type may hold any text."""
    if typing.get_origin(kind) is typing.Literal:
        return False
    return kind in (str, Any) or any(holds_text(part) for part in typing.get_args(kind))


@pytest.mark.parametrize("task", TASKS)
def test_each_key_of_text_names_a_place_or_is_known_not_to(task: str) -> None:
    """A new key fails here: put it into `places` of its section, or above."""
    for name, section in sections(TASKS[task].settings.Config, ""):
        known = section_class(section)
        assert known is not None
        for field in msgspec.structs.fields(section):
            if holds_text(field.type) and field.name not in ("compress", "steps"):
                assert (field.name in of_section(known)) != (field.name in OTHER_TEXT), f"{name}.{field.name}"
