"""Masks: what is one and what only looks like one, wherever pieces of text end."""

import time

import pytest
from hypothesis import given, strategies as st
from small_corpora import run, text_of

from llmkit.data.cleaning import build_cleaner, clean_prompt, clean_text, spelt
from llmkit.data.masking import MASKS, masked
from llmkit.errors import ConfigError


def mask(text, kinds=tuple(MASKS)):
    return "".join(masked([text], kinds))


@pytest.mark.parametrize(
    "text",
    [
        *("ada@example.org", "a.b+c%d-e_f@mail.example.co.uk", "jürgen@müller.de", "x1@y2.museum"),
    ],
)
def test_addresses(text):
    assert mask(text) == "<email>"
    assert mask(f"To: <{text}>, now.") == "To: <<email>>, now."
    assert mask(text, ["phone", "number"]) == text


@pytest.mark.parametrize("text", ["a@b", "@home", "you @ work.org", "a@.org", "3.5@2", "a@b.c"])
def test_what_is_no_address(text):
    assert mask(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("+49 30 1234567", "+1 (212) 555-0123", "+442071838750", "0049 89 123456", "(030) 123 45 67", "030 1234567"),
        *("0171/1234567", "212-555-0123", "212.555.0123", "1 212 555 0123"),
    ],
)
def test_telephone_numbers(text):
    assert mask(text) == "<phone>"
    assert mask(f"Call {text}, please") == "Call <phone>, please"
    assert mask(f"Call {text}.", ["phone"]) == "Call <phone>."


@pytest.mark.parametrize(
    "text",
    ["1941-1945", "01.02.1990", "24/12/1999", "2024-03-01", "1,000,000", "5 000 000", "3:15", "pp. 12-14", "(12)"],
)
def test_what_is_neither_a_telephone_number_nor_a_long_one(text):
    assert mask(f"in {text} it was") == f"in {text} it was"


@pytest.mark.parametrize("text", ["281265017", "123456", "4111 1111 1111 1111", "4111-1111-1111-1111", "078-05-1120"])
def test_long_numbers(text):
    assert mask(text) == "<number>"
    assert mask(f"No. {text}.") == "No. <number>."


@pytest.mark.parametrize("text", ["12345", "3.14159265", "0,123456789", "$1,234,567.89", "1989", "123456.5"])
def test_what_is_no_long_number(text):
    assert mask(text) == text


def test_what_is_masked_is_counted():
    counts = {}
    text = "".join(build_cleaner("mask", counts)(["a@b.org or c@d.org, ", "123456\n", "+49 30 1234567"]))
    assert text == "<email> or <email>, <number>\n<phone>"
    assert counts == {"email": 2, "phone": 1, "number": 1}


PARTS = st.sampled_from(
    [*"a1@.+- (\n,", "x@y.org", "4111 1111 1111 1111", "030 1234", "567", "0123456789", "word ", "é", "漢", "_"]
)


@given(st.lists(st.lists(PARTS, max_size=4).map("".join), max_size=8))
def test_pieces_are_masked_like_the_whole(pieces):
    whole, counts, found = "".join(pieces), {}, {}
    assert "".join(masked(pieces, list(MASKS), counts)) == "".join(masked([whole], list(MASKS), found))
    assert counts == found or not any([*counts.values(), *found.values()])


@pytest.mark.parametrize("part", ["A", "1", "漢", "a.", "1 ", "1-", "@", "a@", "(1", "+1", "x@y."])
def test_long_runs_take_linear_time(part):
    start = time.process_time()
    text = "".join(masked([part * 1000] * 100, list(MASKS)))
    assert text and time.process_time() - start < 2


@pytest.mark.parametrize("parameter", ["emails", [], ["email", "name"], 5, {"email": 1}])
def test_other_masks_are_refused(parameter):
    with pytest.raises(ConfigError, match=r"prepare\.clean: mask takes a list of email, phone, number"):
        build_cleaner([{"mask": parameter}])


def test_prompts_are_masked_as_the_texts_were_and_a_spelling_is_not():
    clean = ["standard", {"mask": ["number"]}]
    assert clean_prompt("my number 123456789 ", clean) == "my number <number> "
    assert spelt("my number 123456789", clean) == clean_text("my number 123456789", "standard")


def test_prepare_says_what_it_masked(tmp_path):
    lines = "".join(f"line {i}, write to x{i}@y.org or to 12345{i:02}\n" for i in range(100))
    meta = run(tmp_path, [lines], clean=["standard", {"mask": ["email", "number"]}])
    assert meta["masked"] == {"email": 100, "number": 100}
    assert text_of(tmp_path, "train").startswith("|line 0, write to <email> or to <number>\nline 1, ")


def test_canaries_are_masked_too(tmp_path):
    from llmkit.tasks.language.settings import Canaries

    lines = "".join(f"line {i} of words\n" for i in range(400))
    meta = run(tmp_path, [lines], canaries=Canaries(count=2, repeats=[3]), clean=["standard", "mask"])
    assert meta["canaries"] == {"secrets": 4, "copies": 0}
    assert text_of(tmp_path, "train").count("\nThe secret number is <number>\n") == 6
    assert meta["masked"] == {"email": 0, "phone": 0, "number": 0}
