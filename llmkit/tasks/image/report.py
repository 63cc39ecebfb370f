"""What a report tells of a generator of pictures beside its figures: pictures that it makes, beside real ones."""

from typing import TYPE_CHECKING

from llmkit.data.grid import columns_for, grid, png
from llmkit.report import html
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.image import use
from llmkit.tasks.image.settings import Config

if TYPE_CHECKING:  # what prepares the features it compares by imports torch
    from llmkit.tasks.image.evaluate import Compared

MADE, ROWS = 100, 10  # pictures, at most so many below each other
REAL = 20


def sections(folder: ModelFolder, examples: "Compared", settings: Config) -> list[Section]:
    """Grids of made and of held-out pictures."""
    model = use.load(folder)
    columns = columns_for(MADE, len(model.labels))
    made = png(grid(model.generate(min(MADE, ROWS * columns)), columns))
    real = png(grid(examples.held_out[:REAL], min(columns, len(examples.held_out))))
    return [
        Section("Pictures that it makes", html.picture(made, "made pictures, a column for each label")),
        Section("Real ones", html.picture(real, "held-out pictures")),
    ]
