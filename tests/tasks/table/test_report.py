"""The reports of models of tables."""

from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.table import evaluate, report


def sections(run):
    folder = experiments.read_model(run.model)
    examples = evaluate.of_split(folder, Files(run.run_dir / "prepared"), "test")
    return {one.heading: one.body for one in report.sections(folder, examples, folder.settings)}


def test_of_labels_and_of_numbers(table_run, number_run):
    labels = sections(table_run)
    assert list(labels) == ["Curves", "By label", "Worst mistakes"] and labels["Curves"].count("<svg") == 3
    numbers = sections(number_run)
    assert list(numbers) == ["Predicted beside true numbers", "Worst mistakes"]
    assert numbers["Predicted beside true numbers"].count("<circle") == 60
    assert numbers["Worst mistakes"].count("size = ") == 8
