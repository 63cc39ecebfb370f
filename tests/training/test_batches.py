"""Batches of example numbers: whole passes, an order of their own, a place to go on from, parts for processes."""

import numpy as np
import pytest

from llmkit.errors import ConfigError
from llmkit.training.batches import Batches
from llmkit.training.distributed import Processes


def test_a_pass_brings_every_example_once_and_the_next_one_another_order():
    batches = Batches(np.arange(10, 20), 4, seed=3)
    passes = [[batches.next().tolist() for _ in range(3)] for _ in range(2)]
    assert [len(batch) for batch in passes[0]] == [4, 4, 2]
    assert [sorted(number for batch in part for number in batch) for part in passes] == [list(range(10, 20))] * 2
    assert passes[0] != passes[1]


def test_examples_of_about_one_length_come_together():
    lengths = np.random.default_rng(0).integers(1, 100, 256)
    batches = Batches(np.arange(256), 8, 0, lengths)
    spans = [np.ptp(lengths[batches.next()]) for _ in range(32)]
    assert np.mean(spans) < 10  # of random batches it is about 80


@pytest.mark.parametrize("lengths", [None, np.arange(20) % 7])
@pytest.mark.parametrize("read", [2, 3, 4])  # within a pass, at its end, within the next one
def test_reading_goes_on_where_it_stood(lengths, read):
    whole, again = (Batches(np.arange(10, 20), 4, 3, lengths) for _ in range(2))
    for _ in range(read):
        whole.next()
    again.load_state(whole.state())
    assert [whole.next().tolist() for _ in range(7)] == [again.next().tolist() for _ in range(7)]


def test_the_order_is_that_of_the_seed():
    one, same, other = (Batches(np.arange(10), 10, seed).next().tolist() for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("examples", "batch_size", "processes", "falls"),
    [(45, 18, 3, True), (45, 18, 2, False), (44, 22, 2, True), (44, 11, 2, False), (44, 22, 4, False)],
)
def test_batches_fall_into_equal_parts_or_are_refused(examples, batch_size, processes, falls):
    """The last batch of a pass too: 45 examples leave 9."""
    batches = Batches(np.arange(examples), batch_size, 0)
    if falls:
        return batches.check_parts(Processes(0, processes), "rows")
    message = f"{examples} rows in batches of {batch_size} do not fall into equal parts for {processes} processes"
    with pytest.raises(ConfigError, match=message):
        batches.check_parts(Processes(0, processes), "rows")
