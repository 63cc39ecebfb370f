"""A new verb is a few lines: a decorator brings the options that all verbs have, another those of the tasks."""

from typing import Annotated, Any

import pytest
import typer

from llmkit.cli.options import Common, Force, common_options, generate_options
from llmkit.errors import ConfigError

SHARED = ["json", "quiet", "verbose", "force", "dry_run", "device", "seed", "identity"]


def command_of(verb: Any) -> Any:
    """A command line of one verb, as typer reads it."""
    app = typer.Typer(add_completion=False)
    app.command()(verb)
    return typer.main.get_command(app)


@pytest.fixture
def toy():
    """(the verb `count` as a command line, what it was called with, newest last)."""
    calls = []

    @common_options
    def count(word: Annotated[str, typer.Argument()], times: int = 1, *, common: Common, loud: bool = False) -> None:
        """Count letters."""
        calls.append((word, times, common, loud))

    return command_of(count), calls


def test_a_verb_gets_what_was_written_on_its_command_line(toy):
    command, calls = toy
    words = ["--json", "-q", "-v", "--force", "--dry-run", "--device", "cpu", "--seed", "7", "--times", "3", "--loud"]
    command([*words, "abc"], standalone_mode=False)
    common = Common(json=True, quiet=True, verbose=True, force=True, dry_run=True, device="cpu", seed=7)
    assert calls == [("abc", 3, common, True)]


def test_a_verb_gets_the_defaults_where_nothing_is_written(toy):
    command, calls = toy
    command(["abc"], standalone_mode=False)
    assert calls == [("abc", 1, Common(False, False, False, False, False, "auto", None, None), False)]


def test_the_shared_options_stand_where_common_does(toy):
    command, _ = toy
    assert [parameter.name for parameter in command.params] == ["word", "times", *SHARED, "loud"]
    assert (command.name, command.help) == ("count", "Count letters.")


@pytest.mark.parametrize(("words", "level"), [(["-q"], 0), ([], 1), (["-v"], 2), (["-q", "-v"], 0)])
def test_the_console_of_a_verb_speaks_as_quiet_and_verbose_say(toy, words, level):
    command, calls = toy
    command([*words, "abc"], standalone_mode=False)
    [(_, _, common, _)] = calls
    assert common.ui.level == level
    assert common.ui is common.ui  # progress goes on in the console in which it began


def test_another_device_is_refused_before_the_verb_runs(toy):
    command, calls = toy
    with pytest.raises(ConfigError, match="^--device tpu: choose from auto, cpu, cuda$"):
        command(["abc", "--device", "tpu"], standalone_mode=False)
    assert calls == []


def test_a_verb_cannot_have_a_shared_option_twice():
    def count(*, common: Common, force: Force = False) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'force'"):
        common_options(count)


def test_a_verb_gets_the_settings_of_the_tasks_that_were_written():
    calls = []

    @common_options
    @generate_options
    def write(*, common: Common, **settings: Any) -> None:
        calls.append((common.seed, settings))

    command = command_of(write)
    names = [parameter.name for parameter in command.params]
    assert names[: len(SHARED)] == SHARED
    assert {"prompt", "max_tokens", "greedy", "output", "count", "to"} <= set(names[len(SHARED) :])
    words = ["--prompt", "a", "--prompt", "b", "--max-tokens", "5", "--no-greedy", "--temperature", "0", "--seed", "2"]
    command(words, standalone_mode=False)
    command([], standalone_mode=False)
    settings = {"prompt": ["a", "b"], "max_tokens": 5, "greedy": False, "temperature": 0.0}
    assert calls == [(2, settings), (None, {})]
