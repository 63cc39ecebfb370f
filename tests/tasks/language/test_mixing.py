"""The mixture: its exponents, contexts followed through windows, the model folder that `train.ngram` makes."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import llmkit as package
from llmkit.runtime.session import log_softmax
from llmkit.tasks.language import mixing, ngram
from llmkit.tasks.language.batches import scoring_windows


def mean_loss(exponents, lstm, other, targets):
    mixed = log_softmax(exponents[0] * lstm + exponents[1] * other)
    return -mixed[np.arange(len(targets)), targets].mean()


def sample(seed=0, n=4000, v=7):
    """Two noisy views of the logits that the targets are drawn from."""
    generator = np.random.default_rng(seed)
    true = generator.normal(size=(n, v)) * 1.5
    lstm, other = (true + generator.normal(size=(n, v)) * noise for noise in (0.7, 1.2))
    p = np.exp(log_softmax(true))
    targets = np.array([generator.choice(v, p=row) for row in p])
    return lstm.astype(np.float32), other.astype(np.float32), targets


def test_the_exponents_are_those_of_least_loss():
    lstm, other, targets = sample()
    found = mixing.fit(1, [(lstm, other, np.zeros(len(targets), int), targets)])[0].astype(float)
    best = mean_loss(found, lstm, other, targets)
    for step in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert mean_loss(found + step, lstm, other, targets) > best
    assert best < min(mean_loss(np.array(alone), lstm, other, targets) for alone in ([1, 0], [0, 1], [0.5, 0.5]))


def test_each_known_length_has_its_own_exponents_and_one_never_seen_those_of_all():
    lstm, other, targets = sample()
    known = np.arange(len(targets)) % 2
    lstm[known == 0] = np.random.default_rng(1).normal(size=lstm[known == 0].shape)  # says nothing there
    pooled, parts = mixing.fit(1, [(lstm, other, known * 0, targets)]), mixing.fit(3, [(lstm, other, known, targets)])
    assert abs(parts[0, 0]) < 0.1 < pooled[0, 0] < parts[1, 0]
    assert parts[2] == pytest.approx(pooled[0], abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 3))
def test_windows_follow_the_contexts_of_one_pass(count, length, seed):
    tokens = np.random.default_rng(seed).integers(0, 4, count + 1)
    train = np.random.default_rng(9).integers(0, 4, 400)
    model = ngram.NGram(ngram.pack(ngram.choose(train, train, 4, 4)[0][0]))
    whole = model.match(tokens)
    reader = None
    for window in scoring_windows(np.arange(count + 1), 3, length, warm_up=8):
        reader = reader or mixing.Reader(model, window.inputs.shape[1])
        nodes = reader.read(tokens[window.inputs])
        assert (nodes[:, window.counted] == whole[:, window.inputs[window.counted]]).all()


def test_a_mixed_model_is_trained_compressed_written_with_and_scored(tiny_copy, llmkit):
    alone = llmkit("evaluate", tiny_copy.config, "evaluate.split=val", "--json").json
    trained = llmkit("train", tiny_copy.config, "train.ngram=true", "--json").json
    assert trained["val_loss"] < min(trained["lstm_val_loss"], trained["ngram_loss"])
    assert trained["lstm_val_loss"] == pytest.approx(alone["loss"], abs=1e-3)
    assert trained["ngram_loss"] == alone["ngram_loss"]
    assert (tiny_copy.model / "ngram.safetensors").exists()

    made = llmkit("compress", tiny_copy.config, "train.ngram=true", "--json").json
    again = llmkit("evaluate", tiny_copy.config, "train.ngram=true", "evaluate.split=val", "--json").json
    assert again["loss"] == pytest.approx(trained["val_loss"], abs=1e-3)
    assert made["val_loss"] == pytest.approx(trained["val_loss"], rel=0.02)
    assert made["size_bytes"] > (tiny_copy.int8 / "ngram.safetensors").stat().st_size
    assert 0 < again["accuracy"] <= again["top5_accuracy"] <= 1
    assert again["lstm_loss"] == pytest.approx(alone["loss"], abs=1e-3)
    assert "lstm_loss" not in alone

    started = llmkit(
        "train",
        tiny_copy.config,
        f"train.start_from={tiny_copy.int8.parent.parent / 'model'}",
        "train.steps=1",
        "--json",
    )
    assert started.json["val_loss"] < trained["lstm_val_loss"] + 0.5
    assert not (tiny_copy.model / "ngram.safetensors").exists()


def test_a_mixed_model_writes_what_its_distribution_says(tiny_copy, llmkit):
    llmkit("train", tiny_copy.config, "train.ngram=true")
    model = package.load(tiny_copy.model)
    assert model.mixture is not None
    options = {"max_tokens": 30, "stop_at_document_end": False}
    [one, two] = model.generate(["the qu", "zz"], seed=3, **options)
    assert one == model.generate("the qu", seed=3, **options)
    assert one == "".join(model.stream("the qu", seed=3, **options))
    assert two
    [text] = model.write(["the qu"], package.tasks.language.use.settings({"greedy": True, **options}), 1)
    ids = np.concatenate([[model.encoder.boundary_id], model.encoder.encode("the qu"), text.ids]).astype(np.int64)
    state = model._zero_state(1)
    logits, _ = model._window(model._session, ids[:-1, None], state)
    mixed = model.mixture.logits(logits[:, 0], model.mixture.model.match(ids[:-1]))
    if model.encoder.unknown_id is not None:
        mixed[:, model.encoder.unknown_id] = -np.inf
    mixed[:, model.encoder.boundary_id] = -np.inf
    assert mixed[-len(text.ids) :].argmax(axis=1).tolist() == text.ids
