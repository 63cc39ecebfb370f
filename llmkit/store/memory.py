"""How much memory a file from elsewhere may make this program take."""

import os
from functools import cache
from pathlib import Path

SHARE = 0.5  # of what the machine has
UNKNOWN = 8 << 30  # bytes that a machine is taken to have which does not say
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


@cache
def most_bytes() -> int:
    """Half of the memory of the machine, or of the container, in bytes."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        total = UNKNOWN
    for name in LIMITS:
        try:
            total = min(total, int(Path(name).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return int(SHARE * total)
