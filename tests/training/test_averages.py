"""The running average of weights: by hand, step by step, and in the network for a while."""

import pytest
import torch

from llmkit.training.averages import Averages


class Counting(torch.nn.Module):
    """One weight, and a buffer of whole numbers."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.0]))
        self.register_buffer("count", torch.tensor(0))

    def becomes(self, weight, count):
        with torch.no_grad():
            self.weight.fill_(weight)
            self.count.fill_(count)


@pytest.fixture
def network():
    return Counting()


def test_the_decay_grows_up_to_its_limit(network):
    averages = Averages(network, 0.15)
    network.becomes(1.0, 1)
    averages.update()  # decay 1/10
    assert averages.tensors["weight"].item() == pytest.approx(0.9)
    network.becomes(2.0, 2)
    averages.update()  # 2/11 is more than the limit
    assert averages.tensors["weight"].item() == pytest.approx(0.15 * 0.9 + 0.85 * 2.0)
    assert averages.tensors["count"].item() == 2  # whole numbers have no mean
    assert averages.updates == 2


def test_a_decay_of_0_keeps_the_last_weights(network):
    averages = Averages(network, 0.0)
    for weight in (3.0, 7.0):
        network.becomes(weight, 0)
        averages.update()
        assert averages.tensors["weight"].item() == weight


def test_the_averages_are_no_views_of_the_network(network):
    averages = Averages(network, 0.9)
    network.becomes(5.0, 5)
    assert [tensor.item() for tensor in averages.tensors.values()] == [0.0, 0]


def test_the_network_has_the_averages_for_a_while(network):
    averages = Averages(network, 0.9)
    network.becomes(5.0, 5)
    with averages.in_network():
        assert (network.weight.item(), network.count.item()) == (0.0, 0)
    assert (network.weight.item(), network.count.item()) == (5.0, 5)


def test_a_restart_begins_with_the_present_weights_and_goes_on_counting(network):
    averages = Averages(network, 0.9)
    averages.update()
    network.becomes(4.0, 4)
    averages.restart()
    assert (averages.tensors["weight"].item(), averages.updates) == (4.0, 1)
    network.becomes(15.0, 4)
    averages.update()  # the second one: decay 2/11
    assert averages.tensors["weight"].item() == pytest.approx(4.0 * 2 / 11 + 15.0 * 9 / 11)
