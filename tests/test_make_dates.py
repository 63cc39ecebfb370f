"""data/make_dates.py: the made-up dates of configs/dates.yaml."""

import datetime
import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "data" / "make_dates.py"


@pytest.fixture(scope="module")
def dates() -> Any:
    spec = importlib.util.spec_from_file_location("make_dates", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_days_in_words(dates: Any) -> None:
    found = [dates.in_words(day) for day in (1, 9, 10, 15, 19, 20, 21, 30, 31)]
    assert " ".join(found) == "first ninth tenth fifteenth nineteenth twentieth twenty-first thirtieth thirty-first"
    found = [dates.ordinal(day) for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30)]
    assert " ".join(found) == "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th"


def test_each_spelling_is_of_its_date(dates: Any) -> None:
    assert dates.spellings(datetime.date(1999, 5, 3)) == [
        "the third of May, 1999",
        "the 3rd of May 1999",
        "May 3, 1999",
        "3 May 1999",
        "Monday, 3rd May 1999",
        "May. 3rd, 1999",
        "3.5.1999",
    ]
    pairs = list(dates.pairs(300, seed=1))
    assert pairs == list(dates.pairs(300, seed=1)) != list(dates.pairs(300, seed=2))
    for text, iso in pairs:
        spelt = dates.spellings(datetime.date.fromisoformat(iso))
        assert text in spelt or text in [one.lower() for one in spelt]
