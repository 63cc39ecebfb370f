"""Four bits: the graph against torch with the weights that the packed ones stand for, unpacked here by hand."""

import ast
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from llmkit.errors import ConfigError, InputError
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.language import four_bits, graph
from llmkit.tasks.language.network import LanguageModel

TOKENS = np.random.default_rng(0).integers(0, 50, 3000)
HIDDEN = 40


def made(embedding=24, layers=1, tie=False, group_size=32, output_bits=8, hidden=HIDDEN):
    torch.manual_seed(0)
    network = LanguageModel(50, embedding, hidden, layers, tie_weights=tie).eval()
    exported, weights = four_bits.quantize(network, TOKENS, 2000, group_size, output_bits)
    return network, exported, weights


def matrix(weights, name, columns, size, bits):
    """The packed matrix, weight by weight: (number - middle of the range) * scale of its group."""
    found = np.empty((len(weights[name]), columns), np.float32)
    for column in range(columns):
        if bits == 4:
            byte = weights[name][:, column // 2]
            number = (byte >> 4 if column % 2 else byte & 15).astype(np.float32) - 8
        else:
            number = weights[name][:, column].astype(np.float32) - 128
        found[:, column] = number * weights[f"{name}.scales"][:, column // size].astype(np.float32)
    return found


def unpacked(network, weights, group_size, output_bits):
    """A network with the weights that the packed ones stand for."""
    hidden, embedding = network.hidden_size, network.embedding_size
    arrays = {"output_bias": weights["output_bias"].astype(np.float32)}
    arrays["embedding"] = matrix(weights, "embedding", embedding, 32, output_bits)
    for k in range(network.layers):
        inputs = hidden if k else embedding
        both = matrix(weights, f"lstm{k}", inputs + hidden, group_size, 4)
        bias = weights[f"lstm{k}.bias"].astype(np.float32)
        arrays |= {f"lstm{k}.W": both[None, :, :inputs], f"lstm{k}.R": both[None, :, inputs:]}
        arrays[f"lstm{k}.B"] = np.concatenate([bias, 0 * bias])[None]
    for name in ("projection", "output"):
        if name in weights:
            arrays[name] = matrix(weights, name, hidden, 32, output_bits).T
    other = LanguageModel(network.vocab_size, embedding, hidden, network.layers, network.output is None).eval()
    graph.from_arrays(other, arrays)
    return other


def run(exported, weights, tokens, state=None):
    session = Session(declare_weights(exported, weights), weights, threads=1)
    names = [name for name in session.inputs if name != "tokens"]
    if state is None:
        state = {name: np.zeros((1, tokens.shape[1], HIDDEN), np.float32) for name in names}
    logits, *ends = session.run(None, {"tokens": tokens, **state})
    return logits, dict(zip(names, ends, strict=True))


@pytest.mark.parametrize(
    ("embedding", "layers", "tie", "group_size", "output_bits"),
    [
        (24, 1, False, 32, 8),
        (24, 2, True, 32, 4),  # with a projection
        (HIDDEN, 1, True, 16, 8),  # without
        (7, 2, False, 64, 4),  # rows that end in the middle of a byte, groups that end after the row
        (24, 1, False, 128, 8),
    ],
)
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (9, 4)])
def test_the_graph_gives_the_outputs_of_torch(embedding, layers, tie, group_size, output_bits, length, batch):
    network, exported, weights = made(embedding, layers, tie, group_size, output_bits)
    other = unpacked(network, weights, group_size, output_bits)
    tokens = np.random.default_rng(1).integers(0, 50, (length, batch))
    generator = torch.Generator().manual_seed(0)
    h, c = (0.5 * torch.randn(layers, batch, HIDDEN, generator=generator) for _ in "hc")
    with torch.no_grad():
        wanted, (h1, c1) = other(torch.from_numpy(tokens), (h, c))
        untouched, _ = network(torch.from_numpy(tokens), (h, c))
    state = {f"{part}{k}": (h if part == "h" else c)[k][None].numpy() for k in range(layers) for part in "hc"}
    exact = four_bits.export(network, group_size, output_bits, accuracy_level=1)
    wanted, untouched = wanted.numpy(), untouched.numpy()
    # In float32 the logits are torch's; activations of 8 bits move them, at most, by a tenth of their spread.
    for model, bound in ((exact, 1e-5), (exported, 0.1)):
        logits, ends = run(model, weights, tokens, state)
        assert np.abs(logits - wanted).max() < bound * wanted.std()
        assert np.sqrt(np.square(logits - wanted).mean()) < 0.3 * bound * wanted.std()
        for k in range(layers):
            assert np.abs(ends[f"h{k}"][0] - h1[k].numpy()).max() < 0.1 * bound
            assert np.abs(ends[f"c{k}"][0] - c1[k].numpy()).max() < 0.1 * bound
    assert np.abs(wanted - untouched).max() > 0.02 * wanted.std()  # the weights are not the ones before


def test_a_window_is_what_its_tokens_are_one_by_one_whatever_else_is_in_the_batch():
    _, exported, weights = made(layers=2)
    tokens = np.random.default_rng(1).integers(0, 50, (6, 3))
    logits, _ = run(exported, weights, tokens)
    state = None
    for row in tokens:
        one, state = run(exported, weights, row[None, 1:2], state)
    np.testing.assert_allclose(one[0, 0], logits[-1, 1], atol=1e-5)


def test_the_graph_holds_no_weights_and_the_weights_have_few_bits():
    network, exported, weights = made(embedding=32, hidden=128)
    assert len(declare_weights(exported, weights)) < 3000
    lstm = weights["lstm0"].nbytes + weights["lstm0.scales"].nbytes
    assert 8 * lstm == 4.5 * (network.weight_ih[0].numel() + network.weight_hh[0].numel())
    table = weights["output"].nbytes + weights["output.scales"].nbytes
    assert 8 * table == 8.5 * network.output.numel()


def test_the_inputs_are_those_that_the_network_reads():
    torch.manual_seed(0)
    network = LanguageModel(50, 6, 8, 2).eval()
    found = four_bits.read_inputs(network, TOKENS, 640)  # 10 streams of 64 tokens
    read = np.stack([TOKENS[300 * k : 300 * k + 64] for k in range(10)], axis=1)  # (T, B)
    x = F.embedding(torch.from_numpy(read), network.embedding)
    for k in range(2):
        lstm = torch.nn.LSTM(x.shape[2], 8)
        parts = (network.weight_ih[k], network.weight_hh[k], network.bias[k], network.no_bias)
        lstm.load_state_dict(dict(zip(lstm.state_dict(), (part.detach() for part in parts), strict=True)))
        with torch.no_grad():
            y, _ = lstm(x)
        both = torch.cat([x, torch.cat([torch.zeros(1, 10, 8), y[:-1]])], dim=2).flatten(0, 1)
        both = both.double().numpy(force=True)
        np.testing.assert_allclose(found[f"lstm{k}"].mean, both.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(found[f"lstm{k}"].covariance, np.cov(both.T, bias=True), atol=1e-5)
        x = y
    np.testing.assert_allclose(found["output"].mean, y.flatten(0, 1).mean(dim=0).numpy(), atol=1e-6)


def test_too_little_text_to_calibrate_with_is_refused():
    network = LanguageModel(50, 24, HIDDEN, 2)  # the second layer reads 40 + 40 numbers
    with pytest.raises(
        InputError, match="a matrix of 80 inputs needs 320 tokens .* the training split has 319; prepare"
    ):
        four_bits.quantize(network, TOKENS[:319], 2000, 32, 8)
    with pytest.raises(ConfigError, match="calibration_tokens 319 are too few .* set it to 320 or more"):
        four_bits.quantize(network, TOKENS, 319, 32, 8)


def test_a_variant_of_four_bits_is_an_ordinary_model_folder(tiny_copy, llmkit):
    variant = "compress={small: {method: quantize, bits: 4, group_size: 16, calibration_tokens: 1000}}"
    ran = llmkit("compress", tiny_copy.config, variant, "--json")
    assert ran.code == 0, ran.err
    row = ran.json
    assert (row["bits"], row["group_size"], row["output_bits"], row["trainable"]) == (4, 16, 8, False)
    assert abs(row["val_loss_increase_percent"]) < 2
    folder = tiny_copy.run_dir / "compressed/small"
    before = (folder / "model.safetensors").read_bytes()
    again = llmkit("compress", tiny_copy.config, variant, "--json")
    assert again.json["up_to_date"]
    assert llmkit("compress", tiny_copy.config, variant, "--force").code == 0
    assert (folder / "model.safetensors").read_bytes() == before
    program = (
        "import sys, llmkit; print(repr(llmkit.load(sys.argv[1]).generate('the', max_tokens=9)));"
        "assert {'torch', 'onnx'}.isdisjoint(sys.modules)"
    )
    written = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert written.returncode == 0, written.stderr
    [text] = llmkit("generate", folder, "--prompt", "the", "--max-tokens", "9", "--json").json["texts"]
    assert ast.literal_eval(written.stdout) == text["text"]
