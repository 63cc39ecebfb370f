"""What a report tells of a text classifier beside its figures."""

from llmkit.predicting import report
from llmkit.predicting.evaluate import Targeted
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import use
from llmkit.tasks.classify.settings import Config
from llmkit.tasks.classify.texts import Examples


def sections(folder: ModelFolder, examples: Targeted[Examples], settings: Config) -> list[Section]:
    """Curves, figures by label, the worst mistakes with their words."""
    return report.sections(use.load(folder), examples)
