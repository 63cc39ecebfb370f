"""Control characters on their way to a terminal; that nothing else in the package prints."""

import ast
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies

import llmkit
from llmkit.console import tables, terminal
from llmkit.console.messages import Console

EVIL = "a\x1b]0;x\x07b\x9b31m\r\x7f\u202e\u2028\udcff"
HARMLESS = "a\\u001b]0;x\\u0007b\\u009b31m\\u000d\\u007f\\u202e\\u2028\\udcff"


def test_control_characters_are_shown_as_escapes() -> None:
    assert terminal.clean(EVIL) == HARMLESS
    kept = "é 語 [b] :smile: \U0001f600 क्\u200dष \n\t"  # a joiner belongs to words
    assert terminal.clean(kept) == kept
    assert terminal.line("a\nb\tc\x1b") == "a\\nb\\tc\\u001b"


@given(strategies.text())
def test_what_is_clean_moves_nothing_and_stays(text: str) -> None:
    found = terminal.clean(text)
    assert not set(found) & ({chr(code) for code in (*range(32), *range(127, 160))} - {"\n", "\t"})
    assert terminal.clean(found) == found
    assert found.encode().decode() == found  # halves of pairs are none


def test_json_stays_json() -> None:
    text = json.dumps({"label": "a\x7f\x9b\u202e"}, ensure_ascii=False)
    assert json.loads(terminal.clean(text)) == {"label": "a\x7f\x9b\u202e"}


def test_data_goes_as_it_is_but_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.write("a\x1b\r\n", end="")
    terminal.show("a\x1b")
    assert capsys.readouterr().out == "a\x1b\r\na\\u001b\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal.write("a\x1b\r")
    assert capsys.readouterr().out == "a\\u001b\\u000d\n"


def test_messages_and_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Console().warn("no \x1b[2J")
    tables.table(["a\x1b", "b"], [["1\n2", "[/b]\x07"]])
    ran = capsys.readouterr()
    assert ran.err == "warning: no \\u001b[2J\n"
    assert ran.out.splitlines()[0] == "a\\u001b  b"
    assert ran.out.splitlines()[2] == "1\\n2     [/b]\\u0007"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    tables.table(["a\x1b", "[/b]"], [["1\n2", "[/b]\x07 :smile:"]])
    drawn = capsys.readouterr().out
    assert "\x1b" not in drawn.replace("\x1b[1m", "").replace("\x1b[0m", "") and "\x07" not in drawn
    assert "1\\n2" in drawn and "[/b]\\u0007 :smile:" in drawn


def test_square_brackets_of_a_progress_are_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkit.console.messages.SLOW_SECONDS", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console = Console()
    console.progress("scoring [/b]\x1b", 1, 2, "note [/i]")
    console.warn("a [/b] :smile:")
    console.close()
    shown = capsys.readouterr().err
    assert "scoring [/b]\\u001b" in shown and "note [/i]" in shown and "a [/b] :smile:" in shown


def test_nothing_else_prints() -> None:
    package = Path(llmkit.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            prints = isinstance(node, ast.Name) and node.id == "print"
            writes = isinstance(node, ast.Attribute) and node.attr in ("write", "writelines")
            if prints or (writes and ast.unparse(node.value) in ("sys.stdout", "sys.stderr")):
                found.append(path.relative_to(package).as_posix())
    assert set(found) == {"console/terminal.py"}
