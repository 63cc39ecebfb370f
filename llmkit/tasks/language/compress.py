"""What a language model offers to the methods that learn: its weights in a learner, fewer units, a teacher.

Units are judged by the first-order Taylor criterion of Molchanov et al., "Importance estimation for neural network
pruning" (arXiv 1906.10771, equation 8), a unit being the group of the weights that read it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.errors import InputError
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import graph
from llmkit.tasks.language.batches import scoring_windows
from llmkit.tasks.language.evaluate import same_vocabulary
from llmkit.tasks.language.network import LanguageModel, State
from llmkit.tasks.language.settings import Config, Quantize
from llmkit.tasks.language.train import LanguageLearner, build
from llmkit.training import distillation

if TYPE_CHECKING:
    from onnx import ModelProto

ANSWER_BYTES = 1 << 30  # of a teacher's probabilities on the whole training split that are kept, at most
ANSWER_STREAMS, ANSWER_LENGTH = 64, 64
DROPOUTS = ("dropout", "input_dropout", "recurrent_dropout")
IMPORTANCE_TOKENS = 65_536  # of the training split, from its start
IMPORTANCE_STREAMS, IMPORTANCE_LENGTH = 16, 64
Arrays = dict[str, np.ndarray]


def check_fits(folder: ModelFolder, prepared: Path) -> None:
    """Raise InputError where a model has another vocabulary than the prepared data."""
    same_vocabulary(folder, prepared)


def as_trained(settings: Config, result: dict[str, Any]) -> Config:
    """The settings of a trained model with the dropouts that were chosen for it: a short fine-tuning keeps them."""
    return _with_dropouts(settings, {name: result[name] for name in DROPOUTS if name in result})


def as_learned(settings: Config, learner: LanguageLearner) -> Config:
    """The same for what a learner has just trained."""
    return _with_dropouts(settings, {name: getattr(learner.network, name) for name in DROPOUTS})


def _with_dropouts(settings: Config, dropouts: dict[str, float]) -> Config:
    return structs.replace(settings, model=structs.replace(settings.model, **dropouts))


def with_less_dropout(settings: Config, kept: float) -> Config:
    """The settings of a network of which a share of the weights is `kept`: dropouts times its square root.

    Fewer weights learn less by heart (Han et al., "Learning both weights and connections for efficient neural
    networks", arXiv 1506.02626, section 3.2).
    """
    return _with_dropouts(settings, {name: (getattr(settings.model, name) or 0.0) * kept**0.5 for name in DROPOUTS})


def load(learner: LanguageLearner, weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(learner.network, weights)


def half(settings: Config) -> Config:
    """The settings with half of the hidden units: a student for whoever names none."""
    return structs.replace(
        settings, model=structs.replace(settings.model, hidden_size=-(-settings.model.hidden_size // 2))
    )


# --- fewer units ------------------------------------------------------------------------------------------------


def without_units(learner: LanguageLearner, settings: Config, share: float) -> tuple[Config, Arrays]:
    """The learner's network without a `share` of each layer's units, those of least importance.

    Returns settings and weights. Raises InputError where the training split is too small to judge by.
    """
    network = learner.network
    kept = max(1, round((1 - share) * network.hidden_size))
    if network.output is None and kept == network.embedding_size != network.hidden_size:
        kept += 1  # of these sizes the network would have no projection
    arrays = graph.to_arrays(network)
    if network.output is None and network.projection is None:
        arrays["projection"] = np.eye(network.hidden_size, dtype=np.float32)  # the units left have to be told apart
    keep = [np.sort(np.argsort(-scores, kind="stable")[:kept]) for scores in importance(learner)]
    model = structs.replace(settings.model, hidden_size=kept, embedding_size=network.embedding_size)
    return structs.replace(settings, model=model), keep_units(arrays, keep)


def units_for(student: LanguageLearner, teacher: LanguageLearner, settings: Config) -> Arrays | None:
    """What a student starts with that is its teacher with fewer units: the weights of those of most importance.

    None where it differs in more. `settings` are the teacher's. So does DistilBERT with layers (Sanh et al.,
    arXiv 1910.01108, section 3). Raises InputError where the training split is too small to judge by.
    """
    if student.network.hidden_size >= teacher.network.hidden_size:
        return None
    sizes = {name: array.shape for name, array in graph.to_arrays(student.network).items()}
    _, weights = without_units(teacher, settings, 1 - student.network.hidden_size / teacher.network.hidden_size)
    return weights if {name: array.shape for name, array in weights.items()} == sizes else None


def keep_units(arrays: Arrays, keep: list[np.ndarray]) -> Arrays:
    """The weights without all units but those whose places `keep` has for each layer, in the graph's layout."""
    kept, before = dict(arrays), None
    for k, places in enumerate(keep):
        W, R, B = (arrays[f"lstm{k}.{part}"] for part in "WRB")  # (1, 4H, inputs), (1, 4H, H), (1, 8H)
        W = W if before is None else W[:, :, before]
        kept[f"lstm{k}.W"] = _rows(W, 4, places)
        kept[f"lstm{k}.R"] = _rows(R[:, :, places], 4, places)
        kept[f"lstm{k}.B"] = _rows(B, 8, places)
        before = places
    for name in ("projection", "output"):  # (H, …)
        if name in arrays:
            kept[name] = arrays[name][before]
    if "projection" not in arrays and "output" not in arrays:
        raise ValueError("the last layer's units are the embedding's numbers: give it a projection first")
    return kept


def _rows(array: np.ndarray, blocks: int, places: np.ndarray) -> np.ndarray:
    """Rows of each of so many stacked blocks: (1, blocks * H, …) -> (1, blocks * len(places), …)."""
    split = array.reshape(blocks, -1, *array.shape[2:])[:, places]
    return np.ascontiguousarray(split.reshape(1, -1, *array.shape[2:]))


def importance(learner: LanguageLearner) -> list[np.ndarray]:
    """For each layer (H,): the mean square, over windows of the training split, of what the loss would change.

    That is the sum of weight times gradient over all weights that read the unit: it is 0 where all those are 0.
    Raises InputError where the split does not fill a window.
    """
    network, tokens = learner.network, learner.streams.tokens[:IMPORTANCE_TOKENS]
    if len(tokens) <= IMPORTANCE_LENGTH:
        raise InputError(
            f"the training split has {len(tokens)} tokens; to judge hidden units by, more than {IMPORTANCE_LENGTH} are "
            "needed: prepare more text"
        )
    readers = [[weight] for weight in network.weight_hh]
    for k in range(1, network.layers):
        readers[k - 1].append(network.weight_ih[k])
    last = network.projection if network.projection is not None else network.output
    readers[-1].append(network.embedding if last is None else last)
    flat = [weight for layer in readers for weight in layer]
    scores = [torch.zeros(network.hidden_size, device=learner.device) for _ in readers]
    dropouts = {name: getattr(network, name) for name in DROPOUTS}
    for name in DROPOUTS:
        setattr(network, name, 0.0)
    network.train()  # torch's LSTM gives gradients in this mode only
    state: State | None = None
    for window in scoring_windows(tokens, IMPORTANCE_STREAMS, IMPORTANCE_LENGTH):
        inputs, targets = (torch.from_numpy(part).to(learner.device) for part in (window.inputs, window.targets))
        state = state or network.initial_state(inputs.shape[1])
        loss, ends = network(inputs, state, learner.number_type, targets)
        gradients = iter(torch.autograd.grad(loss, flat))
        for layer, score in zip(readers, scores, strict=True):
            changes = [(weight.detach() * next(gradients)).sum(dim=0) for weight in layer]  # (…, H) -> (H,)
            score += torch.stack(changes).sum(dim=0).square()
        state = (ends[0].detach(), ends[1].detach())
    for name, value in dropouts.items():
        setattr(network, name, value)
    return [score.cpu().numpy() for score in scores]


# --- fewer bits -------------------------------------------------------------------------------------------------


def of_four_bits(
    variant: Quantize, settings: Config, weights: Arrays, prepared: Path
) -> tuple["ModelProto", Arrays, dict[str, Any]]:
    """(graph, weights, what was chosen) with weights of 4 bits, rounded by text of the training split.

    Raises InputError where that is too small.
    """
    from llmkit.tasks.language import four_bits

    network = build(settings.model, len(weights["output_bias"]))
    graph.from_arrays(network, weights)
    chosen = {
        "group_size": variant.group_size or four_bits.GROUP_SIZE,
        "output_bits": variant.output_bits or four_bits.OUTPUT_BITS,
        "calibration_tokens": variant.calibration_tokens or four_bits.CALIBRATION_TOKENS,
    }
    tokens = np.load(prepared / "train.npy", mmap_mode="r")
    return *four_bits.quantize(network, tokens, **chosen), chosen


# --- a teacher --------------------------------------------------------------------------------------------------


class Taught:
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
        self.learner, self.teachers = learner, [teacher.to(learner.device).eval() for teacher in teachers]
        self.temperature, self.mix, self.share = temperature, mix, mix
        self.states = [teacher.initial_state(learner.carried[0].shape[1]) for teacher in teachers]
        self.network = learner.network
        self.answers = self._answers(progress) if keeps_answers else None
        learner.forward = self.forward  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    def step(self, learning_rate: float) -> Tensor:
        """One update; the teachers' share of the loss falls with the learning rate."""
        self.share = distillation.share(self.mix, learning_rate, self.learner.settings.learning_rate)
        return self.learner.step(learning_rate)

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
        places = self.learner.streams.places[:-1, self.learner.mine]
        return torch.from_numpy(answers[places.ravel()]).to(self.learner.device).float()

    @torch.no_grad()
    def _answers(self, progress: Progress) -> np.ndarray:
        """Mean probabilities (N, V) float16 of what follows each token of the training split, state carried along."""
        learner = self.learner
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
            inputs = torch.from_numpy(window.inputs).to(learner.device)
            if not states:
                states = [teacher.initial_state(inputs.shape[1]) for teacher in self.teachers]
            soft, states = self._read(inputs, states, learner.number_type)
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

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The learner's state, and the teachers'."""
        tensors, plain = self.learner.state()
        for index, (h, c) in enumerate(self.states):
            tensors |= {f"teacher.{index}.h": h, f"teacher.{index}.c": c}
        return tensors, plain

    def load_state(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        device = self.learner.device
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
    progress: Progress = lambda description, done, total: None,
) -> Taught:
    """The learner with networks of the same vocabulary as teachers."""
    networks = []
    for settings, weights in teachers:
        network = build(settings.model, learner.network.vocab_size)
        graph.from_arrays(network, weights)
        networks.append(network)
    tokens = len(learner.streams.tokens)
    fits = 2 * tokens * learner.network.vocab_size <= ANSWER_BYTES
    return Taught(learner, networks, temperature, mix, fits and learner.passes > 1, progress)
