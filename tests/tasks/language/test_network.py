"""The network against torch's own LSTM, and its dropouts against what their names promise."""

import pytest
import torch
from torch.nn import functional as F

from llmkit.tasks.language.network import LanguageModel, in_one_piece, locked_dropout


def random_state(network: LanguageModel, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(network.layers, batch, network.hidden_size), torch.randn(
        network.layers, batch, network.hidden_size
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_forward_and_gradients_equal_torch_lstm(layers):
    torch.manual_seed(0)
    network = LanguageModel(11, 5, 7, layers)
    reference = torch.nn.LSTM(5, 7, layers)
    with torch.no_grad():
        for k in range(layers):
            getattr(reference, f"weight_ih_l{k}").copy_(network.weight_ih[k])
            getattr(reference, f"weight_hh_l{k}").copy_(network.weight_hh[k])
            getattr(reference, f"bias_ih_l{k}").copy_(network.bias[k])
            getattr(reference, f"bias_hh_l{k}").zero_()
    tokens, state = torch.randint(0, 11, (9, 3)), random_state(network, 3)
    logits, (h, c) = network(tokens, state)
    out, (h_reference, c_reference) = reference(F.embedding(tokens, network.embedding), state)
    expected = out @ network.output.T + network.output_bias
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(h, h_reference)
    torch.testing.assert_close(c, c_reference)
    logits.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(network.weight_hh[0].grad, reference.weight_hh_l0.grad, rtol=1e-4, atol=1e-4)


def test_tied_network_has_no_output_matrix_and_projects():
    network = LanguageModel(11, 4, 6, 1, tie_weights=True)
    names = {name for name, _ in network.named_parameters()}
    assert "output" not in names
    assert network.projection.shape == (4, 6)
    assert network.embedding_scale == 2.0  # sqrt(4)
    logits, _ = network(torch.zeros(1, 1, dtype=torch.long), network.initial_state(1))
    assert logits.shape == (1, 1, 11)


def test_locked_dropout_is_the_same_for_all_time_steps():
    torch.manual_seed(0)
    x = locked_dropout(torch.ones(5, 2, 100), 0.5, training=True)
    assert (x == x[0]).all()
    assert set(x.unique().tolist()) == {0.0, 2.0}
    assert locked_dropout(x, 0.5, training=False) is x


def test_weight_drop_changes_the_output_only_in_training():
    torch.manual_seed(0)
    network = LanguageModel(11, 5, 64, 1, recurrent_dropout=0.5)
    tokens, state = torch.randint(0, 11, (4, 2)), network.initial_state(2)
    first, second = network(tokens, state)[0], network(tokens, state)[0]
    assert not torch.equal(first, second)
    assert torch.equal(first[0], second[0])  # the zero state meets no recurrent weight in the first step
    network.eval()
    assert torch.equal(network(tokens, state)[0], network(tokens, state)[0])


def test_carried_state_continues_the_sequence():
    torch.manual_seed(0)
    network = LanguageModel(11, 5, 7, 2).eval()
    tokens = torch.randint(0, 11, (10, 3))
    whole, _ = network(tokens, network.initial_state(3))
    first, state = network(tokens[:4], network.initial_state(3))
    second, _ = network(tokens[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_stays_near_float32_and_gradients_are_float32(training):
    torch.manual_seed(0)
    network = LanguageModel(20, 8, 16, 2).train(training)
    tokens = torch.randint(0, 20, (7, 3))
    exact, _ = network(tokens, network.initial_state(3))
    rounded, (h, _) = network(tokens, network.initial_state(3), torch.bfloat16)
    assert rounded.dtype == h.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.1 * exact.std()
    rounded.sum().backward()
    assert network.weight_hh[0].grad.dtype == torch.float32


def test_weights_in_one_piece_are_the_same_and_get_the_same_gradients():
    torch.manual_seed(0)
    weights = [torch.randn(*shape, requires_grad=True) for shape in ((8, 3), (8, 2), (8,), (8,))]
    found = in_one_piece(weights, torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(found, weights, strict=True))
    first = found[0].data_ptr()
    assert [part.data_ptr() - first for part in found] == [0, 4 * 24, 4 * 40, 4 * 48]
    sum((k + 1) * part.sum() for k, part in enumerate(found)).backward()
    assert all((weight.grad == k + 1).all() for k, weight in enumerate(weights))
