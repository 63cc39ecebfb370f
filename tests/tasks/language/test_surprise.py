"""Surprise of tokens against the scored loss of the same text."""

import math

import pytest

import llmkit as package
from llmkit.tasks.language import surprise

TEXT = "the quick brown fox jumps over a lazy dog\n"


def test_the_bits_of_all_tokens_are_the_scored_loss(tiny_run):
    model = package.load(tiny_run.model)
    found = model.explain(TEXT)["explanation"]
    assert "".join(part["text"] for part in found["parts"]) == TEXT
    assert found["bits_per_token"] * math.log(2) == pytest.approx(model.score(TEXT)["loss"], rel=1e-4)
    assert model.explain([TEXT, ""])[1]["explanation"]["parts"] == []


def test_generate_shows_the_most_surprising_tokens(tiny_run, llmkit):
    ran = llmkit("generate", tiny_run.model, "--explain", "--prompt", "the q", "--max-tokens", "5")
    assert "bits a token" not in ran.out and "a token; the most surprising ones:" in ran.out
    item = llmkit("generate", tiny_run.model, "--explain", "--prompt", "the q", "--max-tokens", "5", "--json").json
    [text] = item["texts"]
    assert "".join(part["text"] for part in text["explanation"]["parts"]) == "the q" + text["text"]


def test_tokens_of_one_character_are_shown_with_the_last():
    assert surprise.texts_of([b"a", b"\xc3", b"\xa9"], [0, 1, 2]) == ["a", "", "é"]
    html = surprise.marked(surprise.explanation(["<b>", "c"], [1.0, 2.0]))
    assert "&lt;b&gt;" in html and "217, 64, 64, 0.700" in html


def test_a_report_has_the_coloured_text(tiny_copy, llmkit):
    assert llmkit("evaluate", tiny_copy.config).code == 0
    page = (tiny_copy.run_dir / "evaluated" / "model" / "report.html").read_text()
    assert "<h2>Where it is surprised</h2>" in page and "<h2>A text that it writes</h2>" in page
