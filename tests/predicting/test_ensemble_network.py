"""The network of members that share matrices: what each member computes."""

import pytest
import torch

from llmkit.predicting.ensemble_network import EnsembleNetwork


@pytest.mark.parametrize(("width", "columns"), [(5, 2), (5, 0), (0, 2)])
def test_each_member_scales_what_goes_into_the_shared_matrices_and_what_comes_out(width, columns):
    torch.manual_seed(0)
    network = EnsembleNetwork(width, columns, 7, 2, hidden_size=6, layers=2, members=3, embedding_size=4)
    for weight in network.parameters():
        weight.data += torch.randn_like(weight)
    numbers, categories = torch.randn(8, width), torch.randint(0, 7, (8, columns))
    found = network.train()(numbers, categories)  # (8, 3, 2)
    assert found.shape == (8, 3, 2)
    linear = network.bias.expand(8, -1)
    given = numbers
    if width:
        linear = linear + numbers @ network.linear
    if columns:
        linear = linear + network.linear_table[categories].sum(dim=1)
        given = torch.cat([numbers, network.embedding[categories].flatten(1)], dim=1)
    for member in range(3):
        x = given
        for k, matrix in enumerate(network.matrices):
            x = x if k == 0 else x.relu()
            x = (x * network.scales_in[k][member]) @ matrix * network.scales_out[k][member] + network.biases[k][member]
        torch.testing.assert_close(found[:, member], x + linear, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.eval()(numbers, categories), found.mean(dim=1))


def test_dropout_of_inputs_takes_other_ones_from_each_member():
    torch.manual_seed(0)
    network = EnsembleNetwork(50, 0, 0, 1, hidden_size=6, layers=1, members=2, embedding_size=1, input_dropout=0.5)
    network.scales_in[0].data[1] = network.scales_in[0].data[0]  # the members differ by what they lose alone
    first, second = network.train()(torch.ones(1, 50), torch.empty(1, 0, dtype=torch.int64))[0]
    assert not torch.equal(first, second)
