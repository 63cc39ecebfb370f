"""E-mail addresses, telephone numbers and other long numbers in a text, written as <email>, <phone>, <number>.

In: pieces of a text that may end anywhere. Out: the same with masks; what is masked does not depend on where they end.

- email: name@host.domain.
- phone: with a country's code (+49 30 …, 0049 …), with an area in parentheses, with a zero before it, or in groups of
  3, 3 and 4; dates are none.
- number: six digits and more in a row, groups of four as on cards, 3-2-4 as of social security numbers; no part of a
  decimal number, and no 1,000,000.

Patterns find most and not all. Left out: names, addresses of houses, whatever has no form of its own.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

# In the order in which they are looked for. No match crosses the end of a line, none looks at a run again and again.
MASKS = {
    "email": re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}+@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
    "phone": re.compile(
        r"(?<![\w.,+/-])(?!\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?!\d)|\d{3}-\d{2}-\d{4}(?!\d))"
        r"(?:(?:\+|00)[1-9]\d{0,2}(?:[ ./-]?\(\d{1,4}\))?(?:[ ./-]?\d){5,12}"
        r"|\(\d{2,5}\)[ ./-]?\d(?:[ ./-]?\d){4,9}"
        r"|0\d{1,4}[ ./-]\d(?:[ ./-]?\d){4,9}"
        r"|(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4})(?![\w/-])"
    ),
    "number": re.compile(
        r"(?<!\d)(?<!\d[.,])(?:\d{4}(?:[ -]\d{4}){2,4}(?:[ -]\d{1,3})?|\d{3}-\d{2}-\d{4}|\d{6,}+)(?![.,]?\d)"
    ),
}
# Where a text may be cut, before the character: no match holds it, and none looks behind it.
CUT = re.compile(r"[^\w.+%@()/ ,-]|(?<=[^\W\d_]) ")


def masked(pieces: Iterable[str], kinds: Sequence[str], counts: dict[str, int] | None = None) -> Iterator[str]:
    """The text with masks of these kinds; `counts` gets how often each stood there."""
    held = ""
    for piece in pieces:
        looked = len(held)  # there is no place to cut in it
        held += piece
        cut = next((i for i in range(len(held) - 1, max(looked, 1) - 1, -1) if CUT.match(held, i)), 0)
        if cut:
            yield _masked(held[:cut], kinds, counts)
            held = held[cut:]
    yield _masked(held, kinds, counts)


def _masked(text: str, kinds: Sequence[str], counts: dict[str, int] | None) -> str:
    for kind, pattern in MASKS.items():
        if kind in kinds:
            text, found = pattern.subn(f"<{kind}>", text)
            if counts is not None:
                counts[kind] = counts.get(kind, 0) + found
    return text
