"""Texts that print alike are one text."""

from hypothesis import given, strategies as st

from llmkit.data.plain_text import is_text, normal


def test_one_spelling_by_hand():
    assert normal("e\u0301t\u00e9\r\nb\rc") == "\u00e9t\u00e9\nb\nc"
    assert normal("\ufeffa\r\n") == "a\n"
    assert normal("a \ufeff") == "a \ufeff"  # at the beginning alone


@given(st.text())
def test_it_is_so_the_second_time(text):
    assert normal(normal(text).removeprefix("\ufeff")) == normal(text).removeprefix("\ufeff")


def test_halves_of_surrogate_pairs_are_no_text():
    assert is_text("a\U0001f600é") and not is_text("a\udcff")
