"""What a language model offers to the methods that learn: its weights in a learner, less dropout, a teacher."""

import functools

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import graph
from llmkit.tasks.language.batches import scoring_windows
from llmkit.tasks.language.dropout import Dropouts
from llmkit.tasks.language.evaluate import same_vocabulary
from llmkit.tasks.language.network import LanguageModel, State
from llmkit.tasks.language.settings import Config
from llmkit.tasks.language.train import LanguageLearner, build
from llmkit.training import distillation, from_weights
from llmkit.training.learner import Learner, Wrapping

ANSWER_BYTES = 1 << 30  # of a teacher's probabilities on the whole training split that are kept, at most
ANSWER_STREAMS, ANSWER_LENGTH = 64, 64
Arrays = dict[str, np.ndarray]


def check_fits(folder: ModelFolder, prepared: Files) -> None:
    """Raise InputError where a model has another vocabulary than the prepared data."""
    same_vocabulary(folder, prepared)


def as_trained(settings: Config, result: Json) -> Config:
    """The settings of a trained model with the dropouts that were chosen for it: a short fine-tuning keeps them."""
    return _with_dropouts(settings, {name: result[name] for name in Dropouts._fields if name in result})


def as_learned(settings: Config, learner: Learner) -> Config:
    """The same for what a learner, or one around it, has just trained."""
    network = innermost(learner).network
    return _with_dropouts(settings, {name: getattr(network, name) for name in Dropouts._fields})


def innermost(learner: Learner) -> LanguageLearner:
    """The learner of a language model within those around it."""
    while isinstance(learner, Wrapping):
        learner = learner.learner
    assert isinstance(learner, LanguageLearner)
    return learner


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Nothing: what is fitted to the validation split, the mixture with n-grams, stays that of the original."""


def _with_dropouts(settings: Config, dropouts: dict[str, float]) -> Config:
    return structs.replace(settings, model=structs.replace(settings.model, **dropouts))


def with_less_dropout(settings: Config, kept: float) -> Config:
    """The settings of a network of which a share of the weights is `kept`: dropouts times its square root.

    Fewer weights learn less by heart (Han et al., "Learning both weights and connections for efficient neural
    networks", arXiv 1506.02626, section 3.2).
    """
    return _with_dropouts(
        settings, {name: (getattr(settings.model, name) or 0.0) * kept**0.5 for name in Dropouts._fields}
    )


def load(learner: LanguageLearner, weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(learner.network, weights)


def half(settings: Config) -> Config:
    """The settings with half of the hidden units: a student for whoever names none."""
    return structs.replace(
        settings, model=structs.replace(settings.model, hidden_size=-(-settings.model.hidden_size // 2))
    )


# --- a teacher --------------------------------------------------------------------------------------------------


class Taught(Wrapping):
    """A learner that learns from teachers too: what `learner` does, with another loss.

    Where a budget reads the text more than once and memory allows, the teachers read it once, before the first step,
    and their mean probabilities are kept for every place: `answers` (N, V) float16. Else they read each window beside
    the learner, with carried states of their own, which are zero where the learner's is.
    """

    def __init__(
        self,
        learner: LanguageLearner,
        teachers: list[LanguageModel],
        temperature: float,
        mix: float,
        keeps_answers: bool,
        progress: Progress,
    ):
        super().__init__(learner)
        self.model, self.teachers = learner, [teacher.to(learner.hardware.device).eval() for teacher in teachers]
        self.temperature, self.mix, self.share = temperature, mix, mix
        self.states = [teacher.initial_state(learner.carried[0].shape[1]) for teacher in teachers]
        self.network = learner.network
        self.answers = self._answers(progress) if keeps_answers else None
        learner.forward = self.forward  # type: ignore[assignment]

    def step(self, rate: float, spent: float) -> Tensor:
        """One update; the teachers' share of the loss falls with the learning rate."""
        self.share = distillation.share(self.mix, rate, self.model.settings.learning_rate)
        return self.model.step(rate, spent)

    def forward(self, tokens: Tensor, state: State, number_type: torch.dtype, targets: Tensor) -> tuple[Tensor, State]:
        """The loss on a window (T, B), and the state after it: as `LanguageModel.forward` with targets."""
        soft = self._beside(tokens, state, number_type) if self.answers is None else self._kept(self.answers)
        if self.temperature == 1.0:
            mixed = distillation.targets(targets.flatten(), soft, self.share)
            return self.network(tokens, state, number_type, mixed.view(*targets.shape, -1))
        logits, after = self.network(tokens, state, number_type)  # (T, B, V)
        logits = logits.flatten(0, 1)
        return distillation.loss(logits, targets.flatten(), soft, self.temperature, self.share), after

    def _kept(self, answers: np.ndarray) -> Tensor:
        """Mean probabilities (T * B, V) of the teachers on the learner's window, from what is kept."""
        places = self.model.streams.places[:-1, self.model.mine]
        return torch.from_numpy(answers[places.ravel()]).to(self.hardware.device).float()

    @torch.no_grad()
    def _answers(self, progress: Progress) -> np.ndarray:
        """Mean probabilities (N, V) float16 of what follows each token of the training split, state carried along."""
        learner = self.model
        tokens = np.append(learner.streams.tokens, learner.streams.tokens[0])  # the learner reads on at the start
        answers = np.empty((len(tokens) - 1, self.network.vocab_size), np.float16)
        places = np.arange(len(tokens))
        states: list[State] = []
        done = 0
        for window, where in zip(
            scoring_windows(tokens, ANSWER_STREAMS, ANSWER_LENGTH),
            scoring_windows(places, ANSWER_STREAMS, ANSWER_LENGTH),
            strict=True,
        ):
            inputs = torch.from_numpy(window.inputs).to(learner.hardware.device)
            if not states:
                states = [teacher.initial_state(inputs.shape[1]) for teacher in self.teachers]
            soft, states = self._read(inputs, states, learner.hardware.number_type)
            answers[where.inputs[window.counted]] = soft[torch.from_numpy(window.counted.ravel())].cpu().numpy()
            done += int(window.counted.sum())
            progress("teachers read the text", done, len(answers))
        return answers

    def _beside(self, tokens: Tensor, state: State, number_type: torch.dtype) -> Tensor:
        """Mean probabilities (T * B, V) of the teachers, whose states go on."""
        carries = state[0].ne(0).any(dim=2).any(dim=0)[:, None]  # (L, B, H) -> (B, 1)
        soft, self.states = self._read(tokens, [(h * carries, c * carries) for h, c in self.states], number_type)
        return soft

    @torch.no_grad()
    def _read(self, tokens: Tensor, states: list[State], number_type: torch.dtype) -> tuple[Tensor, list[State]]:
        """Mean probabilities (T * B, V) after tokens (T, B), and the teachers' states then."""
        outputs = [teacher(tokens, state, number_type) for teacher, state in zip(self.teachers, states, strict=True)]
        soft = distillation.probabilities([logits.flatten(0, 1) for logits, _ in outputs], self.temperature)
        return soft, [state for _, state in outputs]

    def state(self) -> tuple[dict[str, Tensor], Json]:
        """The learner's state, and the teachers'."""
        tensors, plain = self.learner.state()
        for index, (h, c) in enumerate(self.states):
            tensors |= {f"teacher.{index}.h": h, f"teacher.{index}.c": c}
        return tensors, plain

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        """Go on from what `state` gave."""
        device = self.hardware.device
        self.states = [
            (tensors[f"teacher.{index}.h"].to(device), tensors[f"teacher.{index}.c"].to(device))
            for index in range(len(self.teachers))
        ]
        self.learner.load_state({n: t for n, t in tensors.items() if not n.startswith("teacher.")}, plain)


def taught(
    learner: LanguageLearner,
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> Taught:
    """The learner with networks of the same vocabulary as teachers."""
    networks = []
    for settings, weights in teachers:
        whole = functools.partial(build, settings.model, learner.network.vocab_size)
        networks.append(from_weights.network(whole, graph.from_arrays, weights))
    tokens = len(learner.streams.tokens)
    fits = 2 * tokens * learner.network.vocab_size <= ANSWER_BYTES
    return Taught(learner, networks, temperature, mix, fits and learner.passes > 1, progress)
