"""llmkit: from raw files to a small model that ships.

model = llmkit.load("runs/shakespeare/compressed/int8")
model.generate("To be", max_tokens=100)
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: "str | Path", threads: int | None = None) -> Any:
    """The model of any model folder, ready to generate, predict and score, without torch.

    `threads`: processor threads of one call (by default one for a language model's single stream and all for
    scoring). Raises `llmkit.errors.InputError` when the folder is missing, damaged or not a model.
    """
    from llmkit import tasks
    from llmkit.store import model_folder

    found = model_folder.read(folder)
    return tasks.module(found.task, "use").load(found, threads)
