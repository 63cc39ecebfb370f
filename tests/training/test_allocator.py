"""Freed memory is kept: the next tensors cost no page faults."""

import subprocess
import sys

import pytest

from llmkit.training import allocator

FAULTS = """\
import resource, numpy as np
from llmkit.training.allocator import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        kept = [np.ones(1 << 18) for _ in range(20)]  # 2 MB each
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(); first = faults()
assert keep_freed_memory()
faults(); print(first, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_page_faults_end() -> None:
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert after < 0.1 * before


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
