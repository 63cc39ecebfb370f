"""Learners made by hand: one of a language model over a few tokens; what those of examples say of their validation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llmkit.predicting.evaluate import Labelled
from llmkit.predicting.learner import ExampleLearner
from llmkit.predicting.use import Classifier
from llmkit.store.files import Files
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Train
from llmkit.tasks.language.train import LanguageLearner
from llmkit.training.devices import Hardware

CPU = Hardware(torch.device("cpu"))


def prepared_tokens(folder: Path, train: np.ndarray, val: np.ndarray) -> Files:
    """A folder with what a learner reads of prepared data: two splits, and which token is the boundary (0)."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "train.npy", train)
    np.save(folder / "val.npy", val)
    (folder / "meta.json").write_text(json.dumps({"boundary_id": 0}))
    return Files(folder)


def language_learner(prepared: Files, settings: Train, seed: int = 1, **dropouts: Any) -> LanguageLearner:
    """A learner of 9 tokens, in 2 layers of 8 units."""
    torch.manual_seed(seed)
    return LanguageLearner(LanguageModel(9, 4, 8, 2, **dropouts), prepared, settings, seed, CPU, passes=1.0)


def network_logits(learner: ExampleLearner) -> np.ndarray:
    """What the torch network of a learner of examples gives (N, C) for the validation split."""
    inputs = learner.examples.inputs(learner.examples.val)
    return learner.network.eval()(*inputs).detach().numpy()


def read_all(model: Classifier, examples: Labelled) -> Any:
    """All of the examples as the model takes them."""
    return examples.read(model, np.arange(len(examples.labels)))
