"""Numbers as people write them: 1,234.56 and 1.234,56, 65 %, $400, (12), a real minus sign, narrow spaces.

In: the texts of a column. Out: the one `NumberFormat` by which all of them are numbers, and a number for each text.
One column has one format: where texts do not agree they are no numbers. Plain numbers, 3, -1.5 or 2e-3, are in every
format with a decimal point.
"""

import math
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{SMALL HYPHEN-MINUS}": "-", "\N{FULLWIDTH HYPHEN-MINUS}": "-"})
SPACES = "[ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\N{FIGURE SPACE}]"
THOUSANDS = {",": ",", ".": r"\.", " ": SPACES, "'": "['\N{RIGHT SINGLE QUOTATION MARK}]"}
LEADING_ZEROS = re.compile(r"0[0-9]+")
CODE = re.compile(r"[A-Z]{3}")  # of a currency: EUR 12, 12 CHF


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written."""

    decimal: str = "."
    """The sign before decimals: a point or a comma."""
    thousands: str = ""
    """The sign between groups of digits: a comma, a point, a space or an apostrophe; none where it is empty."""
    unit: str = ""
    """What stands beside every number: %, a currency's sign or its code of three letters."""

    def __str__(self) -> str:
        parts = ["decimal comma"] if self.decimal == "," else []
        names = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}
        parts += [f"{names[self.thousands]} between thousands"] if self.thousands else []
        parts += [f"in {self.unit}"] if self.unit else []
        return ", ".join(parts)


PLAIN = NumberFormat()
POINTS = tuple(NumberFormat(".", thousands) for thousands in ("", ",", " ", "'"))
COMMAS = tuple(NumberFormat(",", thousands) for thousands in ("", ".", " ", "'"))


@lru_cache
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    sign = re.escape(decimal)
    plain = rf"(?:[0-9]+(?:{sign}[0-9]*)?|{sign}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    if not thousands:
        return re.compile(rf"[+-]?{plain}")
    group = THOUSANDS[thousands]
    grouped = rf"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}(?:{sign}[0-9]*)?"  # 12,34,567 in India
    return re.compile(rf"[+-]?(?:{grouped}|{plain})")


def parse(text: str, how: NumberFormat) -> float | None:
    """The number in a text that is written so, None in any other; never infinite."""
    bare, unit, negative = _bare(text)
    if unit != how.unit or not _pattern(how.decimal, how.thousands).fullmatch(bare):
        return None
    if how.thousands:
        bare = re.sub(THOUSANDS[how.thousands], "", bare)
    number = float(bare.replace(how.decimal, "."))
    return (-number if negative else number) if math.isfinite(number) else None


def _bare(text: str) -> tuple[str, str, bool]:
    """(digits with their signs, unit, whether parentheses or a minus behind say that it is negative)."""
    text = text.strip().translate(MINUS)
    negative = len(text) > 2 and text[0] == "(" and text[-1] == ")"
    text = text[1:-1].strip() if negative else text
    text, before = _without_unit(text, first=True)
    text, after = ("", "") if not text else _without_unit(text, first=False)
    unit = before or after
    if before and after:
        return "", unit, False  # two units are none
    if unit and len(text) > 1 and text[-1] == "-":
        text, negative = text[:-1], True
    return text, unit, negative and not text.startswith(("-", "+"))


def _without_unit(text: str, first: bool) -> tuple[str, str]:
    """The text without a unit at its beginning or end, and that unit."""
    sign = ""
    if first and text[:1] in ("-", "+"):  # -$5
        sign, text = text[0], text[1:].lstrip()
    place = 0 if first else -1
    size = 3 if CODE.fullmatch(text[:3] if first else text[-3:]) else 1
    found = (text[:size] if first else text[-size:]) if text else ""
    if found and (size == 3 or found == "%" or unicodedata.category(text[place]) == "Sc"):
        rest = (text[size:] if first else text[:-size]).strip()
        return sign + rest, found
    return sign + text, ""


@dataclass(frozen=True)
class Found:
    """The format of a column; `example` is a text that means another number by the other decimal sign, if there is."""

    format: NumberFormat
    example: str = ""


def find(texts: Collection[str], decimal: str = "") -> Found | None:
    """The format by which all texts are numbers, None where there is none.

    `decimal` is the sign that other columns use, for texts that could be either: 1,234 is a thousand unless a comma is
    the decimal sign, 1.234 is one unless it is.
    """
    if not texts:
        return None
    unit = _bare(next(iter(texts)))[1]
    points, commas = (_fitting(texts, formats, unit) for formats in (POINTS, COMMAS))
    if points is None or commas is None:
        chosen = points or commas
        return Found(chosen) if chosen else None
    example = next((text for text in texts if parse(text, points) != parse(text, commas)), "")
    if example and decimal:
        return Found(commas if decimal == "," else points)
    return Found(points, example)


def _fitting(texts: Collection[str], formats: tuple[NumberFormat, ...], unit: str) -> NumberFormat | None:
    for each in formats:
        how = NumberFormat(each.decimal, each.thousands, unit)
        if all(parse(text, how) is not None for text in texts):
            return how
    return None


def has_leading_zeros(texts: Collection[str]) -> bool:
    """Whether some are whole numbers with zeros before them, 01234: codes, which zeros belong to."""
    return any(LEADING_ZEROS.fullmatch(text) for text in texts)
