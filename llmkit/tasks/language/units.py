"""Whole hidden units go: which are of least importance to a language model, and what is left without them.

Units are judged by the first-order Taylor criterion of Molchanov et al., "Importance estimation for neural network
pruning" (arXiv 1906.10771, equation 8), a unit being the group of the weights that read it.
"""

import numpy as np
import torch
from msgspec import structs

from llmkit.errors import InputError
from llmkit.tasks.language import graph
from llmkit.tasks.language.batches import scoring_windows
from llmkit.tasks.language.dropout import Dropouts
from llmkit.tasks.language.network import State
from llmkit.tasks.language.settings import Config
from llmkit.tasks.language.train import LanguageLearner

IMPORTANCE_TOKENS = 65_536  # of the training split, from its start
IMPORTANCE_STREAMS, IMPORTANCE_LENGTH = 16, 64
Arrays = dict[str, np.ndarray]


def units(settings: Config) -> int:
    """How many hidden units a layer has."""
    return settings.model.hidden_size


def without_units(learner: LanguageLearner, settings: Config, removed: float) -> tuple[Config, Arrays]:
    """The learner's network without a share `removed` of each layer's units, those of least importance.

    Returns settings and weights. Raises InputError where the training split is too small to judge by.
    """
    network = learner.network
    kept = max(1, round((1 - removed) * network.hidden_size))
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
    scores = [torch.zeros(network.hidden_size, device=learner.hardware.device) for _ in readers]
    dropouts = {name: getattr(network, name) for name in Dropouts._fields}
    for name in Dropouts._fields:
        setattr(network, name, 0.0)
    network.train()  # torch's LSTM gives gradients in this mode only
    state: State | None = None
    for window in scoring_windows(tokens, IMPORTANCE_STREAMS, IMPORTANCE_LENGTH):
        inputs, targets = (
            torch.from_numpy(part).to(learner.hardware.device) for part in (window.inputs, window.targets)
        )
        state = state or network.initial_state(inputs.shape[1])
        loss, ends = network(inputs, state, learner.hardware.number_type, targets)
        gradients = iter(torch.autograd.grad(loss, flat))
        for layer, score in zip(readers, scores, strict=True):
            changes = [(weight.detach() * next(gradients)).sum(dim=0) for weight in layer]  # (…, H) -> (H,)
            score += torch.stack(changes).sum(dim=0).square()
        state = (ends[0].detach(), ends[1].detach())
    for name, value in dropouts.items():
        setattr(network, name, value)
    return [score.cpu().numpy() for score in scores]
