"""Write made-up dates in words and figures with their ISO form: python data/make_dates.py [FILE] [--pairs 8000]

Out: a CSV file with the columns date and iso, by default data/dates/dates.csv beside this file. The same number and
seed give the same bytes. Needs the standard library alone.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import random
from collections.abc import Iterator
from pathlib import Path

UNITS = ["zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
TEENS = ["tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"]
TEENS += ["eighteenth", "nineteenth"]
FIRST, LAST = datetime.date(1800, 1, 1), datetime.date(2099, 12, 31)


def in_words(day: int) -> str:
    """Third, twenty-first: a day of a month."""
    if day < 10:
        return UNITS[day]
    if day < 20:
        return TEENS[day - 10]
    ten = {2: "twent", 3: "thirt"}[day // 10]
    return f"{ten}ieth" if day % 10 == 0 else f"{ten}y-{UNITS[day % 10]}"


def ordinal(day: int) -> str:
    """3rd, 21st."""
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def spellings(date: datetime.date) -> list[str]:
    """The ways in which a date is written here."""
    month, short = date.strftime("%B"), date.strftime("%b")
    return [
        f"the {in_words(date.day)} of {month}, {date.year}",
        f"the {ordinal(date.day)} of {month} {date.year}",
        f"{month} {date.day}, {date.year}",
        f"{date.day} {short} {date.year}",
        f"{date.strftime('%A')}, {ordinal(date.day)} {month} {date.year}",
        f"{short}. {ordinal(date.day)}, {date.year}",
        f"{date.day}.{date.month}.{date.year}",
    ]


def pairs(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(a date as people write it, its ISO form)."""
    generator = random.Random(seed)
    for _ in range(count):
        date = FIRST + datetime.timedelta(days=generator.randrange((LAST - FIRST).days + 1))
        text = generator.choice(spellings(date))
        yield text if generator.random() < 0.8 else text.lower(), date.isoformat()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write made-up dates with their ISO form.")
    parser.add_argument("file", type=Path, nargs="?", default=Path(__file__).parent / "dates" / "dates.csv")
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.file.parent.mkdir(parents=True, exist_ok=True)
    with given.file.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("date", "iso"), *pairs(given.pairs, given.seed)])


if __name__ == "__main__":
    main()
