"""Differentially private gradients: clipped example by example, summed, with noise (DP-SGD: Abadi et al., arXiv
1607.00133, algorithm 1), and the accountant that says how much noise a budget of privacy needs.

In: a network, examples, what each one's output is to be pulled with. Out: the noisy mean gradient, in `.grad`. Knows no
task. Left out: attacks on how floating-point numbers round the noise (Mironov, CCS 2012).

The noise comes from a generator that the operating system seeds, never from the run's own seed: whoever knew that could
draw the noise again and take it off.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from llmkit.errors import ConfigError

AT_ONCE = 32  # examples whose gradients are held side by side
# Of Rényi divergences, each of which gives a bound of which the least is taken: whole numbers, which are summed in an
# instant, for a noise 0.2 % larger than with broken ones between them.
ORDERS = [*range(2, 64), 80, 96, 128, 192, 256, 512, 1024]


@dataclass(frozen=True)
class Noise:
    """What a private training draws: each of `examples` is in a batch with probability `rate`, in each of `steps`
    steps; the sum of gradients of norm `clip` at most gets noise of deviation `multiplier` · `clip`."""

    multiplier: float
    clip: float
    rate: float
    steps: int


def noise_for(epsilon: float, delta: float, clip: float, rate: float, steps: int) -> Noise:
    """The least noise with which so many steps are (epsilon, delta)-differentially private. Raises ConfigError.

    By opacus' accountant of Rényi divergences of the subsampled Gaussian mechanism (Mironov et al., arXiv 1908.10530).
    """
    _require()
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Optimal order")  # a bound from the first or last order is one, too
            multiplier = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=steps,
                accountant="rdp",
                alphas=ORDERS,
            )
    except ValueError as error:
        raise ConfigError(
            f"train.private: no noise makes {steps:,} steps private with epsilon {epsilon:g} and delta {delta:g}; "
            "allow more of either, or train for fewer steps"
        ) from error
    return Noise(float(multiplier), clip, rate, steps)


def epsilon_of(noise: Noise, delta: float) -> float:
    """The epsilon that training with this noise has for a delta."""
    _require()
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise.multiplier, noise.rate, noise.steps)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order")
        return float(accountant.get_epsilon(delta, alphas=ORDERS))


class Gradients:
    """Noisy gradients of a network whose outputs for an example depend on no other example."""

    def __init__(self, network: nn.Module, noise: Noise):
        self.network, self.noise = network, noise
        self._random = np.random.default_rng()  # seeded by the operating system
        self._each = vmap(grad(self._pulled), in_dims=(None, 0, 0))

    def drawn(self, examples: np.ndarray) -> np.ndarray:
        """The examples (N,) of the next batch, each by itself in it or not; may be none."""
        return examples[self._random.random(len(examples)) < self.noise.rate]

    def into(self, inputs: Sequence[Tensor], pulls: Tensor, batch_size: int) -> None:
        """Put the noisy mean gradient over `batch_size` examples into each parameter's `.grad`.

        `inputs` (B, …) each, `pulls` (B, …): the gradient of each example's own loss by its outputs.
        """
        named = {name: weight.detach() for name, weight in self.network.named_parameters()}
        sums = {name: torch.zeros_like(weight) for name, weight in named.items()}
        for start in range(0, len(pulls), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            found = self._each(named, pulls[some], tuple(one[some] for one in inputs))
            for name, total in clipped(found, self.noise.clip).items():
                sums[name] += total
        deviation = self.noise.multiplier * self.noise.clip
        for name, weight in self.network.named_parameters():
            random = self._random.standard_normal(tuple(weight.shape)) * deviation
            weight.grad = (sums[name] + torch.from_numpy(random).to(weight)) / batch_size

    def _pulled(self, weights: dict[str, Tensor], pull: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        """A scalar whose gradient is that of one example's loss: outputs times what they are pulled with."""
        found: Tensor = functional_call(self.network, weights, tuple(one[None] for one in inputs))
        return (found[0].float() * pull).sum()


def clipped(gradients: dict[str, Tensor], most: float) -> dict[str, Tensor]:
    """The sum over examples of gradients (B, …) by parameter, each example's all together cut to a norm of `most`.

    One that is no number counts as none.
    """
    flat = {name: each.flatten(1) for name, each in gradients.items()}
    norms = torch.stack([each.norm(dim=1) for each in flat.values()]).norm(dim=0)  # (B,)
    finite = norms.isfinite()
    scales = torch.where(finite, (most / norms.clamp(min=1e-12)).clamp(max=1.0), 0.0)
    return {
        name: torch.einsum("b,b...->...", scales, torch.where(finite.view(-1, *[1] * (each.ndim - 1)), each, 0.0))
        for name, each in gradients.items()
    }


def _require() -> None:
    if find_spec("opacus") is None:
        raise ConfigError(
            "train.private needs opacus; install it with: pip install '.[private]' in llmkit's own folder"
        )
