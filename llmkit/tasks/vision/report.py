"""What a report tells of a model of pictures beside its figures."""

import numpy as np

from llmkit.predicting import report
from llmkit.predicting.evaluate import Targeted
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.vision import use
from llmkit.tasks.vision.settings import Config


def sections(folder: ModelFolder, examples: Targeted[np.ndarray], settings: Config) -> list[Section]:
    """Curves and figures by label; the worst mistakes, each picture beside what spoke for the label and against it."""
    return report.sections(use.load(folder), examples)
