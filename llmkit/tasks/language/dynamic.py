"""Dynamic evaluation: the weights follow the text that is being scored (Krause et al., arXiv 1709.07432).

Each segment of the text is predicted first and learned from afterwards, so every token is predicted from what came
before it alone. Needs torch and float weights; the model folder stays as it is.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import graph, mixing
from llmkit.tasks.language.batches import Window, scoring_windows
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.train import build
from llmkit.training import from_weights
from llmkit.training.devices import flushed_denormals

# Found on the first 15,000 characters of tinyshakespeare's validation text for a model of 448 units.
SEGMENT = 20  # tokens that are predicted, then learned
LEARNING_RATE = 6e-4  # times a gradient that is divided by its usual size
DECAY = 2e-3  # pull back to the trained weights, for a weight whose gradient is of mean size
STEADY = 0.1  # of the mean size of a gradient, added to each weight's own size
MOST_DECAY = 0.5
WARM_UP = 50  # segments over which the learning rate rises, while the sizes are still little known


def load(folder: ModelFolder, vocab_size: int) -> LanguageModel:
    """The network of a trainable model folder, without dropout."""
    whole = functools.partial(build, folder.settings.model, vocab_size)
    network = from_weights.network(whole, graph.from_arrays, folder.weights())
    network.dropout = network.input_dropout = network.recurrent_dropout = 0.0
    return network


def loss(
    network: LanguageModel,
    tokens: np.ndarray,
    mixture: mixing.Mixture | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Nats per token of a stream (N,) under dynamic evaluation, every token but the first predicted once.

    `mixture`: score what it makes of the network's logits; the network learns as it does without. Changes the network.
    """
    segments = _reported(windows(network, tokens), len(tokens) - 1, progress)
    if mixture:
        return mixing.loss(mixture, segments)
    total = 0.0
    for segment, logits in segments:
        targets = torch.from_numpy(segment.targets).flatten()
        total += F.cross_entropy(torch.from_numpy(logits).flatten(0, 1), targets, reduction="sum").item()
    return total / (len(tokens) - 1)


def windows(network: LanguageModel, tokens: np.ndarray) -> Iterator[tuple[Window, np.ndarray]]:
    """The segments of a stream in order, each with the network's logits (T, 1, V) on it.

    The network learns from a segment when the next one is asked for: RMS-scaled gradient steps with decay to the
    trained weights (section 4 of the paper; the sizes of the gradients are those of the text so far).
    """
    network.train()  # torch's LSTM gives gradients in this mode only; there is no dropout
    weights = list(network.parameters())
    trained = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    state = network.initial_state(1)
    with flushed_denormals():
        for count, segment in enumerate(scoring_windows(tokens, 1, SEGMENT), 1):
            logits, state = network(torch.from_numpy(segment.inputs), state)  # (T, 1, V)
            yield segment, logits.detach().numpy()
            targets = torch.from_numpy(segment.targets).flatten()
            gradients = torch.autograd.grad(F.cross_entropy(logits.flatten(0, 1), targets), weights)
            _learn(weights, gradients, squares, trained, count)
            state = (state[0].detach(), state[1].detach())


@torch.no_grad()
def _learn(
    weights: list[torch.nn.Parameter],
    gradients: tuple[torch.Tensor, ...],
    squares: list[torch.Tensor],
    trained: list[torch.Tensor],
    count: int,
) -> None:
    """Step `count`: `squares` sums the squared gradients of all steps."""
    torch._foreach_addcmul_(squares, gradients, gradients)
    sizes = [(square / count).sqrt_() for square in squares]
    mean = sum(size.sum() for size in sizes) / sum(size.numel() for size in sizes)
    rate = LEARNING_RATE * min(1.0, count / WARM_UP)
    for weight, gradient, size, start in zip(weights, gradients, sizes, trained, strict=True):
        weight.addcdiv_(gradient, size + STEADY * mean, value=-rate)
        weight.add_((start - weight) * (size * (DECAY / mean)).clamp_(max=MOST_DECAY))


def _reported(
    segments: Iterator[tuple[Window, np.ndarray]], total: int, progress: Callable[[int, int], None]
) -> Iterator[tuple[Window, np.ndarray]]:
    done = 0
    for segment, logits in segments:
        yield segment, logits
        done += len(segment.targets)
        progress(done, total)
