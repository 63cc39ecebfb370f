"""Bars and coloured words; control characters stay harmless."""

import sys

import pytest

from llmkit.console import contributions


def test_bars_are_sorted_and_what_is_left_out_is_summed(capsys: pytest.CaptureFixture[str]) -> None:
    contributions.bars([("a\x1b[2J", 0.25), ("b", -0.5), ("c", 0.125), ("d", 0.0625)], most=2)
    first, second, rest = capsys.readouterr().out.splitlines()
    assert first.split() == ["b", "-0.5", "█" * 24] and second.split() == ["a\\u001b[2J", "+0.25", "█" * 12]
    assert rest.split() == ["and", "2", "more", "+0.1875"]


def test_words_have_colours_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [("good\x07", 0.5), (" ", None), ("[red]bad", -0.5)]
    contributions.marked(given)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    contributions.marked(given)
    shown = capsys.readouterr().out
    assert "\x07" not in shown and "[red]bad" in shown and "good\\u0007" in shown
