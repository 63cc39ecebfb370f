"""The optimizers of a language model: which weights each trains, and how long Muon's steps are.

Out of settings, network and the number of steps that a training is expected to make.
"""

import math

import torch

from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Train
from llmkit.training.muon import Muon

GATES = 4  # matrices in each of an LSTM layer's two

# Steps of a training, by which Muon's are longer: LONGER times at SHORT and below, as the learning rate says from LONG
# on. Measured on characters, 448 units, 32 × 64, one seed each: after 268 steps 0.016 for Muon and 0.008 for AdamW were
# 0.15 nats better than 0.008 for both; after 3,076 steps 0.016 for both was 0.018 worse. With BPE of 8,000, whose
# embedding is tied to the output, 0.015 and 0.006 were 0.12 nats worse after 488 steps.
SHORT, LONG, LONGER = 300, 3000, 2.0


def of(
    network: LanguageModel, settings: Train, number_type: torch.dtype, steps: float = LONG
) -> list[torch.optim.Optimizer]:
    """As `train.optimizer` says: AdamW for all, or Muon for the weights of the gates and AdamW for the others.

    `steps`: that the training is expected to make.
    """
    gates = [*network.weight_ih, *network.weight_hh] if settings.optimizer == "muon" else []
    others = [weight for weight in network.parameters() if all(weight is not gate for gate in gates)]
    rate, decay = settings.learning_rate, settings.weight_decay
    adamw = torch.optim.AdamW(others, rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)
    if not gates:
        return [adamw]
    scale = 1.0 if network.output is None else step_scale(steps)
    return [adamw, Muon(gates, rate, weight_decay=decay, blocks=GATES, scale=scale, number_type=number_type)]


def expect(optimizers: list[torch.optim.Optimizer], network: LanguageModel, steps: float) -> None:
    """Let Muon's steps be as long as in a training of so many."""
    for optimizer in optimizers:
        if isinstance(optimizer, Muon) and network.output is not None:
            for group in optimizer.param_groups:
                group["scale"] = step_scale(steps)


def step_scale(steps: float) -> float:
    """How many times as long Muon's steps are in a training of so many: between the two by their logarithm."""
    share = math.log(LONG / max(steps, 1)) / math.log(LONG / SHORT)
    return LONGER ** min(max(share, 0.0), 1.0)
