"""report.html of each task, and of several models side by side."""

import json


def test_a_report_has_the_figures_and_the_data(llmkit, tiny_copy):
    found = llmkit("evaluate", tiny_copy.config, "--json").json
    page = (tiny_copy.run_dir / "evaluated" / "model" / "report.html").read_text()
    assert f"{found['loss']:.4f}" in page and "text.txt" in page and "<script" not in page
    before = page
    llmkit("evaluate", tiny_copy.config)
    assert (tiny_copy.run_dir / "evaluated" / "model" / "report.html").read_text() == before
    assert not (tiny_copy.run_dir / "evaluated" / "compared.html").exists()


def test_several_models_stand_side_by_side(llmkit, tiny_copy):
    rows = llmkit("evaluate", tiny_copy.config, "--model", "model", "--model", "int8", "--json").json["models"]
    page = (tiny_copy.run_dir / "evaluated" / "compared.html").read_text()
    assert all(f"{row['loss']:.4f}" in page for row in rows) and ">int8</td>" in page
    assert json.loads((tiny_copy.run_dir / "evaluated" / "int8" / "report.json").read_text())["loss"] == rows[1]["loss"]
