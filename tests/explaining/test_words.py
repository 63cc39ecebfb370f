"""Parts of texts and texts without them."""

import numpy as np
from hypothesis import given, strategies

from llmkit.explaining import words


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in words.spans(text)]


def test_words_keep_their_marks_and_signs_stand_alone() -> None:
    assert parts("Isn't it  (well) dull, no?! -") == ["Isn't", "it", "(", "well)", "dull,", "no?!", "-"]
    assert parts("很好。ok") == ["很", "好。", "ok"]
    assert parts("") == parts(" \n") == []


def test_of_a_long_text_runs_of_words_are_parts() -> None:
    found = parts(" ".join(map(str, range(200))))
    assert len(found) == 67 and found[0] == "0 1 2"


def test_what_is_left_keeps_the_blanks_before_it() -> None:
    text = "a  b\nc d"
    where = words.spans(text)
    assert words.without(text, where, np.array([True, False, True, True])) == "a\nc d"
    assert words.without(text, where, np.array([False, True, False, True])) == "b d"
    assert words.without(text, where, np.zeros(4, bool)) == ""


@given(strategies.text())
def test_nothing_but_blanks_lies_between_the_parts(text: str) -> None:
    where = words.spans(text)
    ends, starts = [0, *(end for _, end in where)], [*(start for start, _ in where), len(text)]
    rest = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    assert not rest.strip() and words.without(text, where, np.ones(len(where), bool)) == text.strip()
