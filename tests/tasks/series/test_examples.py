"""Examples of series: which origins a split has, and that nothing looks ahead."""

import numpy as np

from llmkit.tasks.series.examples import Examples, context_of, validated
from llmkit.tasks.series.prepare import About
from llmkit.tasks.series.settings import Model, Split

SPLIT = Split(val=1, test=2)


def made(values, begins=(None, None)):
    about = About(["a", "b"], list(begins), 3600.0, 3, 2, None)
    return Examples(values, about, 5, [len(each) for each in values])


def test_the_horizons_of_a_split_lie_in_it():
    found = made([np.arange(12.0), 100 + np.arange(15.0)])
    # of 12 values the last 4 are the test and 2 before them validate: origins 3 and 4 train (a season comes first)
    assert found.of_split("train", SPLIT).tolist() == [3, 4, 12 + 3, 12 + 4, 12 + 5, 12 + 6, 12 + 7]
    assert found.of_split("val", SPLIT).tolist() == [6, 12 + 9]
    assert found.of_split("test", SPLIT).tolist() == [8, 9, 10, 12 + 11, 12 + 12, 12 + 13]
    assert found.of_split("test", SPLIT, stride=2).tolist() == [8, 10, 12 + 11, 12 + 13]
    assert found.truth(np.array([3, 12 + 13])).tolist() == [[3, 4], [113, 114]]
    assert found.before(12 + 4).tolist() == [100, 101, 102, 103]
    assert found.series[[11, 12]].tolist() == [0, 1]


def test_moments_are_those_of_the_first_value_to_come():
    found = made([np.arange(12.0), np.arange(15.0)], (7200.0, None))
    np.testing.assert_equal(found.moments(np.array([4, 12 + 4])), [7200 + 4 * 3600, np.nan])


def test_what_comes_does_not_reach_a_window():
    generator = np.random.default_rng(0)
    values = [generator.normal(0, 1, 40) for _ in range(2)]
    values[0][7] = np.nan
    origins = np.array([5, 8, 20])  # within the first season, after a gap, anywhere
    before = made(values).windows(origins)
    for number, origin in enumerate(origins):
        changed = [values[0].copy(), values[1]]
        changed[0][origin:] += 1000
        after = made(changed).windows(origins[[number]])
        np.testing.assert_array_equal(before.take(np.array([number])).features, after.features)
        np.testing.assert_array_equal(before.take(np.array([number])).base, after.base)


def test_validation_takes_evenly_spaced_origins():
    assert validated(np.arange(10)).tolist() == list(range(10))
    found = validated(np.arange(100_000))
    assert len(found) == 4096 and found[0] == 0 and found[-1] == 99_999


def test_a_model_sees_seven_seasons_or_three_horizons():
    assert context_of(Model(), 24, 48) == 168
    assert context_of(Model(), 1, 12) == 36
    assert context_of(Model(), 365, 30) == 1024
    assert context_of(Model(context=30), 24, 48) == 30
