"""The optimizers of a translation model: Muon for the matrices of its layers, AdamW for the rest, or AdamW for all."""

import torch
from torch import nn

from llmkit.tasks.translate.network import Layer, TranslationNetwork
from llmkit.tasks.translate.settings import Train
from llmkit.training.muon import Muon

BETAS = (0.9, 0.98)
BLOCKS = {"own_in": 3, "source_in": 2}  # matrices that lie in one: query, key and value


def of(network: TranslationNetwork, settings: Train, number_type: torch.dtype) -> list[torch.optim.Optimizer]:
    """As `train.optimizer` says: AdamW, then Muon twice, for two parts of the matrices that are about as much work.

    Biases and norms do not decay.
    """
    parts: list[dict[int, list[torch.Tensor]]] = [{}, {}]
    numbers = [0, 0]
    if settings.optimizer == "muon":
        for layer in network.modules():
            if isinstance(layer, Layer):
                for name, dense in layer.named_children():
                    if isinstance(dense, nn.Linear):
                        smaller = numbers.index(min(numbers))
                        numbers[smaller] += dense.weight.numel()
                        parts[smaller].setdefault(BLOCKS.get(name, 1), []).append(dense.weight)
    of_muon = {id(weight) for part in parts for weights in part.values() for weight in weights}
    others = [weight for weight in network.parameters() if id(weight) not in of_muon]
    rate, decay = settings.learning_rate, settings.weight_decay
    groups = [
        {"params": [weight for weight in others if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in others if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, rate, betas=BETAS, fused=True)]
    for part in parts:
        of_blocks = [{"params": weights, "blocks": blocks} for blocks, weights in sorted(part.items())]
        if of_blocks:
            found.append(Muon(of_blocks, rate, weight_decay=decay, number_type=number_type))
    return found
