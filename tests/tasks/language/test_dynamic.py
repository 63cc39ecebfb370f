"""Scoring that learns as it reads: by hand, against the static loss, through the command line."""

import itertools

import numpy as np
import pytest
import torch
from small_learners import CPU

from llmkit.tasks import experiment as experiments
from llmkit.tasks.language import dynamic, train as learn
from llmkit.tasks.language.network import LanguageModel

V = 11


def network(seed=0):
    torch.manual_seed(seed)
    return LanguageModel(V, 6, 12, 1)


def text(length, seed=0):
    return np.random.default_rng(seed).integers(0, V, length)


def test_without_learning_it_is_the_static_loss(monkeypatch):
    monkeypatch.setattr(dynamic, "LEARNING_RATE", 0.0)
    tokens = text(333)
    with torch.no_grad():
        static = learn.score(network(), tokens, CPU)
    assert dynamic.loss(network(), tokens) == pytest.approx(static, abs=1e-5)


def test_a_segment_is_predicted_before_it_is_learned():
    tokens = text(5 * dynamic.SEGMENT)
    changed = tokens.copy()
    changed[2 * dynamic.SEGMENT + 1 :] = (
        changed[2 * dynamic.SEGMENT + 1 :] + 1
    ) % V  # from the third segment's targets on
    pairs = zip(dynamic.windows(network(), tokens), dynamic.windows(network(), changed), strict=True)
    logits = [(one, other) for (_, one), (_, other) in pairs]
    for one, other in logits[:2]:
        assert (one == other).all()
    assert (logits[2][0][:1] == logits[2][1][:1]).all()
    assert not np.allclose(logits[3][0], logits[3][1])


def test_the_first_step_is_the_one_computed_by_hand(monkeypatch):
    """After one segment a size is the gradient's own: each weight moves by rate * g / (|g| + STEADY mean|g|)."""
    monkeypatch.setattr(dynamic, "WARM_UP", 1)
    tokens, net, fixed = text(2 * dynamic.SEGMENT), network(), network()
    for _ in itertools.islice(dynamic.windows(net, tokens), 2):
        pass
    window = torch.from_numpy(tokens[: dynamic.SEGMENT + 1])[:, None]
    logits, _ = fixed(window[:-1], fixed.initial_state(1))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[1:].flatten()).backward()
    gradients = [weight.grad for weight in fixed.parameters()]
    mean = torch.cat([gradient.abs().flatten() for gradient in gradients]).mean()
    for moved, weight, gradient in zip(net.parameters(), fixed.parameters(), gradients, strict=True):
        step = dynamic.LEARNING_RATE * gradient / (gradient.abs() + dynamic.STEADY * mean)
        size = gradient.abs() * dynamic.DECAY / mean
        expected = weight - step + step * size.clamp(max=dynamic.MOST_DECAY)
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-6)


def test_a_text_that_repeats_itself_is_learned():
    tokens = np.tile([1, 2], 3000)
    with torch.no_grad():
        static = learn.score(network(), tokens, CPU)
    assert dynamic.loss(network(), tokens) < static - 0.5


def test_evaluate_reports_it_beside_the_static_loss(tiny_copy, llmkit):
    weights = (tiny_copy.model / "model.safetensors").read_bytes()
    static = llmkit("evaluate", tiny_copy.config, "--json").json
    both = llmkit("evaluate", tiny_copy.config, "evaluate.dynamic=true", "--json").json
    assert both["loss"] == static["loss"]
    assert "dynamic_loss" not in static
    ratio = both["dynamic_bits_per_byte"] / both["bits_per_byte"]
    assert both["dynamic_loss"] / both["loss"] == pytest.approx(ratio)
    assert (tiny_copy.model / "model.safetensors").read_bytes() == weights
    folder = experiments.read_model(tiny_copy.model)
    tokens = np.load(tiny_copy.run_dir / "prepared" / "test.npy").astype(np.int64)
    vocab_size = folder.weights()["embedding"].shape[0]
    assert both["dynamic_loss"] == pytest.approx(dynamic.loss(dynamic.load(folder, vocab_size), tokens), rel=1e-6)


def test_a_model_without_float_weights_is_refused(tiny_copy, llmkit):
    ran = llmkit("evaluate", tiny_copy.config, "--model", "int8", "evaluate.dynamic=true")
    assert ran.code == 2
    assert "no float weights" in ran.error
