"""What tasks that predict a label offer to the methods of compression, as far as it is alike: docs/adding_a_task.md."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import structs
from torch import nn

from llmkit.console.callbacks import Progress
from llmkit.predicting import metrics as figures
from llmkit.predicting.learner import VALIDATION_BATCH, ClassifierLearner
from llmkit.predicting.use import Classifier, write_labels
from llmkit.store.model_folder import ModelFolder
from llmkit.training import distillation

DROPOUTS = ("dropout", "input_dropout")


def as_trained(settings: Any, result: dict[str, Any]) -> Any:
    """The settings: none of them is left open."""
    return settings


def as_learned(settings: Any, learner: ClassifierLearner) -> Any:
    """The same for what a learner has just trained."""
    return settings


def with_less_dropout(settings: Any, kept: float) -> Any:
    """The settings of a network of which a share of the weights is `kept`: dropouts times its square root.

    Han et al., "Learning both weights and connections for efficient neural networks" (arXiv 1506.02626, section 3.2).
    """
    less = {name: getattr(settings.model, name) * kept**0.5 for name in DROPOUTS}
    return structs.replace(settings, model=structs.replace(settings.model, **less))


def half(settings: Any) -> Any:
    """The settings with half of the hidden units and of the embedding's numbers: a student for whoever names none."""
    smaller = {name: -(-getattr(settings.model, name) // 2) for name in ("hidden_size", "embedding_size")}
    return structs.replace(settings, model=structs.replace(settings.model, **smaller))


def check_fits(folder: ModelFolder, prepared: Path) -> None:
    """Nothing more: models of the same prepared data, which all must be, have the same labels and columns or words."""


@torch.no_grad()
def taught(
    learner: ClassifierLearner,
    teachers: list[nn.Module],
    temperature: float,
    mix: float,
    progress: Progress,
) -> ClassifierLearner:
    """The learner, which from now on learns from the teachers' mean probabilities for its training examples too.

    They are computed here, once: a number per example and label is little memory.
    """
    batches = learner.batches
    examples = batches.examples
    if batches.lengths is not None:
        examples = examples[np.argsort(batches.lengths[examples], kind="stable")]  # little filling up
    answers = torch.zeros(len(learner.labels), len(learner.names), device=learner.device)
    for teacher in teachers:
        teacher.to(learner.device).eval()
    for start in range(0, len(examples), VALIDATION_BATCH):
        which = examples[start : start + VALIDATION_BATCH]
        given = learner.inputs(which)
        logits = [teacher(*given).float() for teacher in teachers]
        answers[torch.from_numpy(which).to(learner.device)] = distillation.probabilities(logits, temperature)
        progress("teachers read the examples", start + len(which), len(examples))
    learner.teach(answers, temperature, mix)
    return learner


def refit(model: Classifier, examples: Any, labels: np.ndarray) -> None:
    """Fit the temperature of a written model anew, on examples of the validation split as it takes them."""
    write_labels(model.folder.path, model.labels, figures.fit_temperature(model.logits(examples), labels))
