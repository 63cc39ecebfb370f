"""How many processors this process may use."""

import os

import pytest

from llmkit.runtime.processors import usable_processors


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_a_process_that_is_held_to_one_processor_has_one():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_processors() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_processors() == len(before)
