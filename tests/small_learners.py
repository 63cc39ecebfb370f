"""A learner of a language model over a few tokens, made by hand: a prepared folder, a network, a learner of both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
