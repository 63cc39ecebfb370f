"""A private training of a small table: its bound is told, nothing else of the rows; what would undo it is refused."""

import json

import pytest
from small_runs import finish, setup_of

from llmkit.errors import ConfigError
from llmkit.fitting import setup as setups
from llmkit.predicting.private_learner import planned

PRIVATE = "train={steps: 25, batch_size: 64, learning_rate: 0.02, private: {epsilon: 4, delta: 1e-4}}"


@pytest.fixture
def private_run(table_fresh):
    text = table_fresh.config.read_text()
    before = "train: {epochs: 15, batch_size: 32, learning_rate: 0.02}"
    assert before in text
    table_fresh.config.write_text(text.replace(before, PRIVATE.replace("=", ": ")))
    return table_fresh


def test_the_bound_is_told_by_all_and_the_training_loss_by_nobody(private_run, llmkit):
    finish(private_run)
    found = llmkit("evaluate", private_run.config, "--model", "model", "--model", "int8", "--json").json["models"]
    for row in found:
        assert 3.9 < row["epsilon"] <= 4 and row["delta"] == 1e-4
        assert row["accuracy"] > 0.6
    card = (private_run.model / "card.md").read_text()
    assert "Trained with differential privacy" in card and "noise_multiplier" in card
    assert "train_loss" in (private_run.model / "metrics.jsonl").read_text()
    records = [json.loads(line) for line in (private_run.model / "metrics.jsonl").read_text().splitlines()]
    assert records and {record["train_loss"] for record in records} == {None}
    weights = (private_run.model / "model.safetensors").read_bytes()
    assert llmkit("train", private_run.config, "--fresh").code == 0  # the noise does not follow from the seed
    assert (private_run.model / "model.safetensors").read_bytes() != weights


def test_a_step_takes_a_drawn_batch_and_says_no_loss(private_run, llmkit):
    assert llmkit("prepare", private_run.config).code == 0
    learner = setups.learner(setup_of(private_run))
    assert (learner.noise.steps, learner.noise.rate) == (25, 64 / 168)
    before = {name: tensor.clone() for name, tensor in learner.trained_weights().items()}
    assert learner.step(0.01, 0.0) is None and learner.count == 64
    assert any((before[name] != tensor).any() for name, tensor in learner.trained_weights().items())
    tensors, plain = learner.state()
    other = setups.learner(setup_of(private_run))
    other.load_state(tensors, plain)
    assert other.taken == 1
    other.gradients.drawn = lambda examples: examples[:0]  # nobody is in the batch: noise alone
    assert other.step(0.01, 0.0) is None and (other.taken, other.count) == (2, 128)
    other.taken = 26
    with pytest.raises(AssertionError, match="more steps"):
        other.finish(0.0, private_run.run_dir, lambda *progress: None)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.private.delta=0.01", "allows to publish one of them"),
        ("train={max_minutes: 1, private: {epsilon: 3}}", "private and max_minutes do not go together"),
        ("train.folds=3", "private and folds do not go together"),
        ("train.class_weights=balanced", "private and class_weights do not go together"),
        ("train.number_type=auto", "set number_type: float32"),
        ("train.start_from=somewhere", "private and start_from do not go together"),
        ("train.private={epsilon: 0}", "epsilon"),
        ("train.private={delta: 1e-6}", "epsilon"),
    ],
)
def test_what_does_not_go_with_it(private_run, llmkit, override, says):
    assert llmkit("prepare", private_run.config).code == 0
    ran = llmkit("train", private_run.config, override)
    assert ran.code == 2 and says in ran.error


def test_other_stages_refuse_what_would_undo_it(private_run, llmkit):
    with private_run.config.open("a") as file:
        file.write("compress: {sparse: {method: prune}, small: {method: chain, steps: [{method: distil}]}}\n")
    for stage in ("prepare", "train"):
        assert llmkit(stage, private_run.config).code == 0
    for name in ("sparse", "small"):
        ran = llmkit("compress", private_run.config, name)
        assert ran.code == 2 and "was trained with train.private" in ran.error
    ran = llmkit("tune", private_run.config)
    assert ran.code == 2 and "which train.private does not count" in ran.error


@pytest.mark.parametrize(
    ("epochs", "count", "batch_size"), [(1, 100, 10), (60.0, 700, 64), (0.3, 1000, 7), (1e-9, 9, 3)]
)
def test_the_steps_of_a_budget(epochs, count, batch_size):
    """By the loop's sum: it ends with the first step after which `epochs` are done."""
    steps = planned(("epochs", epochs), count, batch_size)
    assert steps * batch_size / count / epochs >= 1 and (steps == 1 or (steps - 1) * batch_size / count / epochs < 1)
    assert planned(("steps", 5), count, batch_size) == 5


def test_numbers_are_not_predicted_so(number_run):
    with pytest.raises(ConfigError, match="is for labels, and 'price' is a number"):
        setups.learner(setup_of(number_run, "train.private={epsilon: 3}"))
