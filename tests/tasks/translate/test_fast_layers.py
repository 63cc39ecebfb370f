"""What a CPU computes equals torch's own parts, values and gradients."""

import pytest
import torch
from torch import Tensor

from llmkit.tasks.translate.fast_layers import Attention, Dense, Placed, Shape, softmaxed, softmaxed_backward
from llmkit.tasks.translate.network import UNSEEN, TranslationNetwork, working

B, T, S, D, HEADS = 2, 3, 4, 6, 2


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def test_the_network_is_the_same_either_way() -> None:
    network = TranslationNetwork(11, 8, heads=2, encoder_layers=2, decoder_layers=2, feedforward_size=12).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    sources, targets = torch.randint(1, 11, (5, 6)), torch.randint(0, 11, (5, 4))
    counts = torch.tensor([6, 4, 3, 6, 1])
    found = []
    for whole in (network.read(sources, counts, targets), network._read_fast(sources, counts, targets, None)):
        weights = [weight for name, weight in network.named_parameters() if name != "output_bias"]
        loss = (whole * torch.linspace(-1, 1, whole.numel()).view_as(whole)).sum()
        found.append([whole, *torch.autograd.grad(loss, weights)])
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("dropout", [False, True])
def test_gradients_are_those_of_differences(dropout: bool) -> None:
    mask = (torch.rand(B * T, D) > 0.3).double() if dropout else None
    inner = (torch.rand(B * T, 5) > 0.3).double() if dropout else None
    scale = 1.4 if dropout else 1.0
    norm, unseen = [random(D), random(D)], torch.zeros(B, 1, 1, S).double()
    unseen[1, ..., -1] = UNSEEN
    later = torch.full((T, T), UNSEEN).double().triu(1)
    shape, x, memory = Shape(B, T, HEADS), random(B * T, D), random(B * S, D)
    own = [*norm, random(3 * D, D), random(3 * D), random(D, D), random(D)]
    source = [*norm, random(D, D), random(D), random(D, D), random(D), random(2 * D, D), random(2 * D)]
    dense = [*norm, random(5, D), random(5), random(D, 5), random(D)]
    torch.autograd.gradcheck(lambda x, *w: Attention.apply(x, None, later, mask, scale, shape, *w), (x, *own))
    torch.autograd.gradcheck(
        lambda x, m, *w: Attention.apply(x, m, unseen, mask, scale, shape, *w), (x, memory, *source)
    )
    torch.autograd.gradcheck(lambda x, *w: Dense.apply(x, inner, mask, scale, *w), (x, *dense))
    places = torch.randn(T, D).double()
    torch.autograd.gradcheck(lambda x: Placed.apply(x, places, mask, 3.0, torch.float64), (x,))


def test_the_softmax_is_torchs() -> None:
    scores, bias = random(B, HEADS, T, S), torch.zeros(B, 1, 1, S).double()
    bias[0, ..., 2:] = UNSEEN
    whole = (scores * 0.5 + bias).softmax(dim=-1)
    shares = softmaxed(scores.detach() * 1000, bias, 0.5 / 1000)
    torch.testing.assert_close(shares, whole)
    assert softmaxed(scores.detach() * 1e6, bias, 1.0).isfinite().all()
    outer = torch.randn(whole.shape).double()
    [grad] = torch.autograd.grad(whole, scores, outer)
    torch.testing.assert_close(softmaxed_backward(shares, outer, 0.5), grad)


def test_a_working_network_has_weights_of_its_own() -> None:
    network = TranslationNetwork(11, 8, heads=2, encoder_layers=1, decoder_layers=1, feedforward_size=12)
    made = working(network, torch.bfloat16)
    kinds = {name: weight.dtype for name, weight in made.named_parameters()}
    assert kinds.keys() == dict(network.named_parameters()).keys()
    assert kinds["encoder.0.own_in.weight"] == torch.bfloat16 and kinds["embedding"] == torch.float32
    with torch.no_grad():
        for weight in made.parameters():
            weight.zero_()
    assert network.embedding.any() and network.encoder[0].own_in.weight.any()
