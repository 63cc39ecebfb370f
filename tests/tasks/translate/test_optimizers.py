"""Which weights each optimizer trains."""

import torch

from llmkit.tasks.translate import optimizers
from llmkit.tasks.translate.network import TranslationNetwork
from llmkit.tasks.translate.settings import Train
from llmkit.training.muon import Muon


def network() -> TranslationNetwork:
    return TranslationNetwork(11, 8, heads=2, encoder_layers=2, decoder_layers=1, feedforward_size=12)


def test_every_weight_has_one_optimizer() -> None:
    made = network()
    for kind, count in (("muon", 3), ("adamw", 1)):
        found = optimizers.of(made, Train(optimizer=kind), torch.float32)
        weights = [id(weight) for one in found for group in one.param_groups for weight in group["params"]]
        assert sorted(weights) == sorted(id(weight) for weight in made.parameters()) and len(found) == count


def test_muon_takes_the_matrices_of_layers_each_by_itself_in_two_like_parts() -> None:
    made = network()
    adamw, *others = optimizers.of(made, Train(weight_decay=0.5), torch.float32)
    sizes: dict[int, set[tuple[int, ...]]] = {}
    for one in others:
        assert isinstance(one, Muon)
        for group in one.param_groups:
            sizes.setdefault(group["blocks"], set()).update(tuple(weight.shape) for weight in group["params"])
            assert group["weight_decay"] == 0.5
    assert sizes == {1: {(8, 8), (8, 12), (12, 8)}, 2: {(16, 8)}, 3: {(24, 8)}}
    work = [one.flops_per_step for one in others if isinstance(one, Muon)]
    assert max(work) < 1.3 * min(work)
    decayed, kept = adamw.param_groups
    assert [weight is made.embedding for weight in decayed["params"]] == [True] and decayed["weight_decay"] == 0.5
    assert kept["weight_decay"] == 0.0 and all(weight.ndim == 1 for weight in kept["params"])
