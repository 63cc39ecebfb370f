"""Windows: every token is predicted exactly once in scoring, and training streams miss and repeat nothing."""

import itertools

import numpy as np
from hypothesis import given, settings, strategies as st

from llmkit.tasks.language.batches import TrainingStreams, scoring_windows


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.integers(1, 9), st.integers(1, 50), st.integers(0, 20))
def test_each_target_counts_exactly_once(count, streams, length, warm_up):
    tokens = np.arange(count)
    counted = np.concatenate([w.targets[w.counted] for w in scoring_windows(tokens, streams, length, warm_up)])
    assert sorted(counted.tolist()) == list(range(1, count))
    for window in scoring_windows(tokens, streams, length, warm_up):
        assert (window.targets[window.counted] == window.inputs[window.counted] + 1).all()
        assert len(window.inputs) <= length


def test_each_stream_but_the_first_is_warmed_up():
    tokens = np.arange(1000)
    windows = list(scoring_windows(tokens, 4, 10_000, warm_up=7))
    [window] = windows
    assert window.inputs.shape[1] == 4
    assert window.counted[:7].tolist() == [[True, False, False, False]] * 7


def test_training_windows_join_without_a_gap():
    tokens = np.arange(1000)
    streams = TrainingStreams(tokens, batch_size=4, length=10, boundary_id=999_999, seed=0)
    windows = [streams.next()[0] for _ in range(40)]
    assert (windows[0][0] == 999_999).all()  # as a document begins, with zero state
    for before, after in itertools.pairwise(windows):
        assert (before[-1] == after[0]).all()
    lengths = [len(window) - 1 for window in windows]
    assert min(lengths) == 8
    assert max(lengths) == 12
    first = np.concatenate([window[1:, 1] for window in windows])
    assert (first == (np.arange(len(first)) + 251) % 1000).all()
    assert streams.epochs == sum(lengths) * 4 / 1000


def test_training_streams_go_on_from_their_state():
    tokens = np.arange(500)
    one, other = (TrainingStreams(tokens, 3, 8, 0, seed=1, resets=0.5) for _ in range(2))
    for _ in range(5):
        one.next()
    other.load_state(one.state())
    for _ in range(5):
        for part, same in zip(one.next(), other.next(), strict=True):
            assert (part == same).all()


def test_streams_start_cold_as_often_as_asked():
    streams = TrainingStreams(np.arange(500), 50, 4, 0, seed=1, resets=0.1)
    carried = np.stack([streams.next()[1] for _ in range(200)])  # 10,000 draws: a standard deviation of 0.003
    assert abs((~carried).mean() - 0.1) < 0.015
    always = TrainingStreams(np.arange(500), 50, 4, 0, seed=1)
    assert all(always.next()[1].all() for _ in range(20))
