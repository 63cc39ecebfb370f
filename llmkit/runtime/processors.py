"""How many processors there are for this process."""

import os


def usable_processors() -> int:
    """Processors this process may use (a container may allow fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
