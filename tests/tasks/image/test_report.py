"""The report of a generator holds its pictures itself."""

import re

from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.image import evaluate, report


def test_made_and_real_pictures_are_in_the_page(image_run):
    folder = experiments.read_model(image_run.model)
    examples = evaluate.of_split(folder, Files(image_run.run_dir / "prepared"), "test")
    made, real = report.sections(folder, examples, folder.settings)
    assert (made.heading, real.heading) == ("Pictures that it makes", "Real ones")
    assert re.findall('src="([^,]+),', made.body + real.body) == ["data:image/png;base64"] * 2
