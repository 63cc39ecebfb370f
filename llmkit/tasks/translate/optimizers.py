"""The optimizers of a translation model: Muon for the matrices of its layers, AdamW for the rest, or AdamW for all."""

import torch
from torch import nn

from llmkit.tasks.translate.network import Layer, TranslationNetwork
from llmkit.tasks.translate.settings import Train
from llmkit.training.muon import Muon

BETAS = (0.9, 0.98)
BLOCKS = {"own_in": 3, "source_in": 2}  # matrices that lie in one: query, key and value


def of(network: TranslationNetwork, settings: Train, number_type: torch.dtype) -> list[torch.optim.Optimizer]:
    """As `train.optimizer` says. Biases and norms do not decay."""
    by_blocks: dict[int, list[torch.Tensor]] = {}
    if settings.optimizer == "muon":
        for layer in network.modules():
            if isinstance(layer, Layer):
                for name, part in layer.named_children():
                    if isinstance(part, nn.Linear):
                        by_blocks.setdefault(BLOCKS.get(name, 1), []).append(part.weight)
    of_muon = {id(weight) for weights in by_blocks.values() for weight in weights}
    others = [weight for weight in network.parameters() if id(weight) not in of_muon]
    rate, decay = settings.learning_rate, settings.weight_decay
    groups = [
        {"params": [weight for weight in others if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in others if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, rate, betas=BETAS, fused=True)]
    for blocks, weights in sorted(by_blocks.items()):
        found.append(Muon(weights, rate, weight_decay=decay, blocks=blocks, number_type=number_type))
    return found
