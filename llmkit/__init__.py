"""llmkit: from raw files to a small model that ships.

model = llmkit.load("runs/shakespeare/compressed/int8")
model.generate("To be", max_tokens=100)
"""

from typing import TYPE_CHECKING, Any

from llmkit.version import __version__ as __version__

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: "str | Path", threads: int | None = None) -> Any:
    """The model of any model folder, ready to generate, predict and score, without torch.

    `threads`: processor threads of one call (by default one for a language model's single stream and all for
    scoring). Raises `llmkit.errors.InputError` when the folder is missing, damaged or not a model.
    """
    from llmkit.tasks import TASKS, experiment

    model = experiment.read_model(folder)
    return TASKS[model.task].use.load(model, threads)
