"""What a translation model offers to the methods that learn: its weights in a learner, less dropout, a teacher."""

import functools

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.data import ragged
from llmkit.data.ragged import Ragged
from llmkit.plain import Json
from llmkit.runtime.beam import Beam
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder, declare_weights
from llmkit.tasks.translate import decoder, graph, vocabulary as vocabularies
from llmkit.tasks.translate.evaluate import same_vocabulary
from llmkit.tasks.translate.network import TranslationNetwork
from llmkit.tasks.translate.settings import Config
from llmkit.tasks.translate.train import TranslateLearner, build
from llmkit.training import distillation, from_weights
from llmkit.training.learner import Learner

Arrays = dict[str, np.ndarray]
TEACHERS_BEAM = Beam(2, 1.0, 4)  # a narrow one: every training source is translated


def as_trained(settings: Config, result: Json) -> Config:
    """The settings: none of them is left open."""
    return settings


def as_learned(settings: Config, learner: Learner) -> Config:
    """The same for what a learner has just trained."""
    return settings


def with_less_dropout(settings: Config, kept: float) -> Config:
    """The settings of a network of which a share of the weights is `kept`: dropout times its square root.

    Han et al., "Learning both weights and connections for efficient neural networks" (arXiv 1506.02626, section 3.2).
    """
    dropout = settings.model.dropout * kept**0.5
    return structs.replace(settings, model=structs.replace(settings.model, dropout=dropout))


def half(settings: Config) -> Config:
    """The settings with half of the numbers per token and of the dense layers' units, for whoever names no student."""
    model = settings.model
    step = 2 * model.heads if model.heads % 2 else model.heads
    size = max(step, step * round(model.hidden_size / 2 / step))
    dense = None if model.feedforward_size is None else -(-model.feedforward_size // 2)
    return structs.replace(settings, model=structs.replace(model, hidden_size=size, feedforward_size=dense))


def load(learner: TranslateLearner, weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(learner.network, weights)
    learner.load_weights(learner.network.state_dict())


def check_fits(folder: ModelFolder, prepared: Files) -> None:
    """Raise InputError where a model has another vocabulary than the prepared data."""
    same_vocabulary(folder, prepared)


def taught(
    learner: TranslateLearner,
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> TranslateLearner:
    """The learner with networks of the same vocabulary as teachers, which read each batch beside it.

    A student smaller than its one teacher reads that one's translations of the training sources too (Kim & Rush,
    "Sequence-level knowledge distillation", arXiv 1606.07947, section 3.2).
    """
    networks: list[TranslationNetwork] = []
    for settings, weights in teachers:
        whole = functools.partial(build, settings.model, learner.network.vocab_size)
        network = from_weights.network(whole, graph.from_arrays, weights)
        networks.append(network.to(learner.hardware.device).eval())

    @torch.no_grad()
    def together(sources: Tensor, counts: Tensor, inputs: Tensor, wanted: Tensor) -> Tensor:
        with learner.hardware.autocast():
            logits = [network(sources, counts, inputs, wanted).float() for network in networks]
        return distillation.probabilities(logits, temperature)

    learner.teach(together, temperature, mix)
    if len(networks) == 1 and _weights(networks[0]) > _weights(learner.network):
        learner.read_translations(_translations(networks[0], learner, progress))
    return learner


def _weights(network: TranslationNetwork) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _translations(teacher: TranslationNetwork, learner: TranslateLearner, progress: Progress) -> Ragged:
    """The teacher's best translations (N) of the training sources; of other pairs, and where it comes to no end, what
    the data says."""
    made, arrays = graph.export(teacher)
    vocabulary = vocabularies.of_folder(learner.prepared)
    parts = decoder.Parts(
        declare_weights(made, arrays), arrays, len(teacher.decoder), teacher.vocab_size, None, "the teacher's graph"
    )
    sources, targets, train = learner.sources, learner.targets, learner.batches.pairs
    lists = [targets.numbers[targets.starts[k] : targets.starts[k + 1]] for k in range(len(sources))]
    asked = [sources.numbers[sources.starts[k] : sources.starts[k + 1]] for k in train]
    done = 0
    for which, found in decoder.search(parts, asked, vocabulary, TEACHERS_BEAM):
        for number, sequences in zip(train[which].tolist(), found, strict=True):
            if sequences[0].ended:
                lists[number] = np.array(sequences[0].tokens, np.int32)
        done += len(which)
        progress("the teacher translates", done, len(train))
    return ragged.from_lists(lists)


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Nothing is fitted to the validation split."""
