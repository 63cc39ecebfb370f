"""Learners made by hand: one that counts, one of a language model over a few tokens; what others validate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.learner import ExampleLearner
from llmkit.predicting.use import Classifier
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Train
from llmkit.tasks.language.train import LanguageLearner
from llmkit.training.devices import Hardware
from llmkit.training.learner import Export, Finish

CPU = Hardware(torch.device("cpu"))


class Counting:
    """A learner of one number, 0 at first, to which each step adds 1; a validation finds the next of some losses."""

    unit, step_count, validation_count, hardware = "examples", 10, 20, CPU

    def __init__(self, losses: Sequence[float]):
        self.losses = iter(losses)
        self.number = torch.zeros(1)
        self.finished: list[tuple[Any, ...]] = []

    @property
    def count(self) -> int:
        return 10 * int(self.number)

    @property
    def epochs(self) -> float:
        return self.count / 100

    def step(self, rate: float, spent: float) -> torch.Tensor:
        self.number += 1
        return torch.tensor(0.5)

    def validate(self, share: float = 1.0) -> dict[str, float]:
        return {"val_loss": next(self.losses)}

    def weights(self) -> dict[str, torch.Tensor]:
        return {"number": self.number}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.number.copy_(weights["number"])

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        return {}, {}

    def samples(self) -> dict[str, bytes]:
        return {}

    def export(self) -> Export:
        return Export(onnx.ModelProto(), {"number": self.number.numpy()}, {"labels.json": ModelFile(b"[]")})

    def finish(self, val_loss: float, work: Path, progress: Any) -> Finish:
        self.finished.append((val_loss, work, progress))
        return Finish({"more.json": ModelFile(b"{}")}, {"accuracy": 0.75}, ["few examples"])


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
    network = learner.network.eval()
    return network(*learner.examples.inputs(learner.examples.val)).detach().numpy()


def read_all(model: Classifier, examples: Targeted) -> Any:
    """All of the examples as the model takes them."""
    return examples.read(model, np.arange(len(examples.targets)))
