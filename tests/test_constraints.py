"""constraints.txt pins each package once: two pins of one package can't be installed."""

from collections import Counter
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"


def test_each_package_is_pinned_to_one_version():
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if line.count("==") != 1] == []
    names = Counter(line.split("==")[0].lower().replace("_", "-") for line in lines)
    assert [name for name, count in names.items() if count > 1] == []
