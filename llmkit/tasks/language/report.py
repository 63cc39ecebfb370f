"""What a report tells of a language model beside its figures: a text that it writes, tokens coloured by surprise."""

from typing import TYPE_CHECKING

from llmkit.report import html
from llmkit.report.html import Section
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import surprise, use
from llmkit.tasks.language.settings import Config

if TYPE_CHECKING:  # dynamic scoring, of which that knows, imports torch
    from llmkit.tasks.language.evaluate import Stream

MOST_TOKENS = 400  # of the scored text that are shown
WRITTEN = 200  # tokens


def sections(folder: ModelFolder, examples: "Stream", settings: Config) -> list[Section]:
    """A sample and the beginning of the scored text."""
    model = use.load(folder)
    text = model.generate("", max_tokens=WRITTEN)
    found = model.surprises(examples.tokens[: MOST_TOKENS + 1])
    note = html.paragraph("The redder a token, the less the model expected it; hold the pointer on it for its bits.")
    return [
        Section("A text that it writes", f'<p class="text">{html.escape(text)}</p>'),
        Section("Where it is surprised", note + surprise.marked(found)),
    ]
