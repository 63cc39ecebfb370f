"""Passages that are continued word for word: counted by hand for a model that counts, and as greedy writing writes."""

from types import SimpleNamespace

import numpy as np
import pytest

import llmkit as package
from llmkit.errors import InputError
from llmkit.tasks.language.memorised import PROMPT, continued, shares


class Counting:
    """A model of ten tokens and a boundary that expects each token to be one more than the one before."""

    encoder = SimpleNamespace(boundary_id=10, vocab_size=11)

    def likeliest(self, tokens):
        return (tokens + 1) % 10


def test_how_far_a_passage_is_continued():
    known = np.arange(PROMPT + 7) % 10
    early, late, before = known.copy(), known.copy(), known.copy()
    early[PROMPT] = 5
    late[PROMPT + 3] = 9
    before[PROMPT - 2] = 0  # a mistake within the prompt counts for nothing
    assert continued(Counting(), np.stack([known, early, late, before])).tolist() == [7, 0, 3, 7]


def test_shares_by_length():
    size = PROMPT + 100
    stream = np.arange(size) % 10
    assert shares(Counting(), stream, 1000, seed=1) == {5: 1.0, 10: 1.0, 25: 1.0, 50: 1.0, 100: 1.0}
    stream[PROMPT + 30] = 7
    assert shares(Counting(), stream, 1000, seed=1) == {5: 1.0, 10: 1.0, 25: 1.0, 50: 0.0, 100: 0.0}
    with pytest.raises(InputError, match="needs 150 tokens .* has 149"):
        shares(Counting(), stream[:-1], 1000, seed=1)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_likeliest_tokens_are_those_that_greedy_writing_writes(llmkit, tiny_run, tiny_copy, mixed):
    run = tiny_copy if mixed else tiny_run
    if mixed:
        assert llmkit("train", run.config, "train.ngram=true").code == 0
    model = package.load(run.model)
    assert bool(model.mixture) is mixed
    prompt = "the quick brown fox jumps"
    text = model.generate(prompt, greedy=True, max_tokens=80, stop_at_document_end=False)
    ids = np.concatenate([[model.encoder.boundary_id], model.encoder.encode(prompt + text)]).astype(np.int64)
    found = model.likeliest(np.stack([ids, ids], axis=1))  # more than one window of it
    assert found.shape == (len(ids), 2)
    assert np.array_equal(found[:, 0], found[:, 1])
    said, written = found[len(prompt) : -1, 0], ids[len(prompt) + 1 :]
    told_to_go_on = said == model.encoder.boundary_id
    assert np.array_equal(said[~told_to_go_on], written[~told_to_go_on])
    assert told_to_go_on.mean() < 0.5


def test_evaluate_says_how_much_is_memorised(llmkit, tiny_run):
    found = llmkit("evaluate", tiny_run.model, "evaluate.memorised=20", "--json").json
    assert list(found["memorised"]) == ["5", "10", "25", "50", "100"]
    for row in found["memorised"].values():
        assert row.keys() == {"train", "held_out"} and 0 <= row["train"] <= 1
    assert found["memorised_train"] == found["memorised"]["50"]["train"]
    assert "memorised" not in llmkit("evaluate", tiny_run.model, "--json").json
