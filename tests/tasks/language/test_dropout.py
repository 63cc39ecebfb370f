"""Dropout that the config leaves open: from none to the most measured, by the passes that a budget makes."""

import pytest
from small_runs import setup_of

from llmkit.fitting import setup as setups
from llmkit.tasks.language import dropout, train
from llmkit.tasks.language.settings import Model, Train


def test_what_was_measured_is_met_and_between_it_lines_are_straight():
    for passes, *expected in dropout.MEASURED:
        assert list(dropout.for_passes(passes)) == expected
    low, high = dropout.for_passes(0), dropout.for_passes(dropout.MEASURED[1][0])
    half = dropout.for_passes(dropout.MEASURED[1][0] / 2)
    assert half.dropout == pytest.approx((low.dropout + high.dropout) / 2)
    assert dropout.for_passes(1e9) == dropout.MEASURED[-1][1:]


@pytest.mark.parametrize(
    ("train", "passes"),
    [
        (Train(epochs=7), 7),
        (Train(steps=50, batch_size=4, sequence_length=10), 2),  # 50 × 40 of 1,000 tokens
        # 94 % of 30 s in steps of 0.047 s are 600, of 40 tokens each
        (Train(max_minutes=0.5, batch_size=4, sequence_length=10), 24),
    ],
)
def test_passes_of_each_kind_of_budget(train, passes):
    assert dropout.expected_passes(train, tokens=1000, seconds_of_step=0.047) == pytest.approx(passes)


def test_what_the_config_names_stays():
    found = dropout.chosen(Model(dropout=0.4, recurrent_dropout=0.0), passes=100, weights=1e7)
    assert found == (0.4, dropout.MEASURED[-1][2], 0.0)


@pytest.mark.parametrize(("weights", "share"), [(1e9, 1.0), (1.0, 1.0), (0.25, 0.5), (0.01, 0.1)])
def test_networks_smaller_than_the_measured_one_get_less(weights, share):
    found = dropout.chosen(Model(), passes=100, weights=weights * dropout.MEASURED_WEIGHTS)
    assert found == pytest.approx([share * value for value in dropout.MEASURED[-1][1:]], abs=1e-4)


def test_a_budget_in_minutes_is_probed_and_what_was_found_is_gone_on_with(tiny_run, monkeypatch):
    """A slow machine reads the text less often: less dropout, longer steps. A checkpoint keeps what was found."""
    made = []
    for seconds in (0.5, 0.005):
        monkeypatch.setattr(train, "seconds_of_step", lambda learner, at_most, found=seconds: found)
        setup = setup_of(tiny_run, "train={max_minutes: 0.5, batch_size: 4, sequence_length: 16}", "model.dropout=null")
        made.append(setups.learner(setup))
    slow, fast = made
    tokens = len(slow.streams.tokens)
    assert slow.passes == pytest.approx(0.94 * 30 / 0.5 * 64 / tokens)
    assert slow.network.recurrent_dropout < fast.network.recurrent_dropout
    assert all((a == b).all() for a, b in zip(slow.weights().values(), fast.weights().values(), strict=True))
    scales = [one.optimizers[1].param_groups[0]["scale"] for one in made]
    assert scales[0] > scales[1]
    fast.load_state(*slow.state())
    assert (fast.passes, fast.network.recurrent_dropout) == (slow.passes, slow.network.recurrent_dropout)
    assert fast.optimizers[1].param_groups[0]["scale"] == scales[0]


def test_steps_of_a_real_learner_are_timed(tiny_run):
    learner = setups.learner(setup_of(tiny_run))
    before = learner.count
    assert train.seconds_of_step(learner, 0.0) > 0
    assert learner.count >= before + 4 * 4 * 10  # a first one and three; windows are a fifth shorter at least
