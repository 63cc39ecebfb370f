"""The GPUs of the machine, for tests about CUDA, which start processes of their own in `environment()`.

Others see none (`conftest.py`): they are about the CPU, several run at once, and some fork, which a process that has
started CUDA must not.
"""

import os
import subprocess
import sys
from functools import cache

KEY = "CUDA_VISIBLE_DEVICES"


def environment() -> dict[str, str]:
    """Of a process that sees the GPUs which the tests were started with."""
    found, seen = {name: value for name, value in os.environ.items() if name != KEY}, os.environ["GPUS_OF_TESTS"]
    return found if seen == "all" else found | {KEY: seen}


@cache
def count() -> int:
    """How many there are."""
    if not os.path.exists("/proc/driver/nvidia/version") and not os.path.exists("/dev/nvidia0"):
        return 0
    ask = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(ask, env=environment(), capture_output=True, text=True, check=True).stdout)
