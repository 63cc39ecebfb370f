"""What a report tells of a model of a table beside its figures."""

from llmkit.data.columns import Rows
from llmkit.predicting import report
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.regressor import Regressor
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import use
from llmkit.tasks.table.settings import Config


def sections(folder: ModelFolder, examples: Targeted[Rows], settings: Config) -> list[Section]:
    """Curves and figures by label, or predicted beside true numbers; the worst mistakes with their columns."""
    model = use.load(folder)
    if isinstance(model, Regressor):
        model = model.with_interval(settings.evaluate.interval)
    return report.sections(model, examples)
