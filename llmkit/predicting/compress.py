"""What tasks that predict offer to the methods of compression, as far as it is alike (`tasks.contract.Compress`)."""

from typing import TypeVar

import numpy as np
import torch
from msgspec import structs
from torch import nn

from llmkit.config.root import Root
from llmkit.console.callbacks import Progress
from llmkit.plain import Json
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.learner import VALIDATION_BATCH, ExampleLearner, Network
from llmkit.predicting.use import AnyExamples, Predictor
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.training.learner import Learner

AnyRoot = TypeVar("AnyRoot", bound=Root)
DROPOUTS = ("dropout", "input_dropout")


def as_trained(settings: AnyRoot, result: Json) -> AnyRoot:
    """The settings: none of them is left open."""
    return settings


def as_learned(settings: AnyRoot, learner: Learner) -> AnyRoot:
    """The same for what a learner has just trained."""
    return settings


def with_less_dropout(settings: AnyRoot, kept: float) -> AnyRoot:
    """The settings of a network of which a share of the weights is `kept`: dropouts times its square root.

    Han et al., "Learning both weights and connections for efficient neural networks" (arXiv 1506.02626, section 3.2).
    """
    less = {name: getattr(settings.model, name) * kept**0.5 for name in DROPOUTS}
    return structs.replace(settings, model=structs.replace(settings.model, **less))


def half(settings: AnyRoot) -> AnyRoot:
    """The settings with half of the hidden units and of the embedding's numbers: a student for whoever names none."""
    smaller = {name: -(-getattr(settings.model, name) // 2) for name in ("hidden_size", "embedding_size")}
    return structs.replace(settings, model=structs.replace(settings.model, **smaller))


def check_fits(folder: ModelFolder, prepared: Files) -> None:
    """Nothing more: models of the same prepared data, which all must be, have the same labels and columns or words."""


@torch.no_grad()
def taught(
    learner: ExampleLearner[Network], teachers: list[nn.Module], temperature: float, mix: float, progress: Progress
) -> ExampleLearner[Network]:
    """The learner, which from now on learns from what the teachers say together of its training examples too.

    That is computed here, once: C numbers per example are little memory.
    """
    device = learner.hardware.device
    examples = learner.batches.examples
    if learner.batches.lengths is not None:
        examples = examples[np.argsort(learner.batches.lengths[examples], kind="stable")]  # little filling up
    together = torch.zeros(int(examples.max()) + 1, learner.objective.output_count, device=device)
    for teacher in teachers:
        teacher.to(device).eval()
    for start in range(0, len(examples), VALIDATION_BATCH):
        which = examples[start : start + VALIDATION_BATCH]
        given = learner.examples.inputs(which)
        outputs = [teacher(*given).float() for teacher in teachers]
        together[torch.from_numpy(which).to(device)] = learner.objective.together(outputs, temperature)
        progress("teachers read the examples", start + len(which), len(examples))
    learner.teach(together, temperature, mix)
    return learner


def refit(model: Predictor[AnyExamples], examples: Targeted[AnyExamples]) -> None:
    """Fit a written model's temperature or intervals anew, on the examples of the validation split."""
    outputs = model.outputs(examples.read(model, np.arange(len(examples.targets))))
    name, data = model.refitted(outputs, examples.targets)
    new_files.write_bytes(model.folder.path / name, data)
