"""The n-gram model of a run: built once for its data, and the figures that name it."""


def test_the_run_s_ngram_model_is_counted_once_and_again_for_other_data(tiny_copy, llmkit):
    place = tiny_copy.run_dir / "work" / "ngram" / "manifest.json"
    first = llmkit("evaluate", tiny_copy.config, "--json", "--force").json
    assert {"ngram_loss", "ngram_order"} <= first.keys()
    before = place.stat().st_mtime_ns
    assert llmkit("evaluate", tiny_copy.config, "--json", "--force").json["ngram_loss"] == first["ngram_loss"]
    assert place.stat().st_mtime_ns == before
    other = llmkit("evaluate", tiny_copy.config, "--on", tiny_copy.text, "--json").json
    assert other["ngram_order"] == first["ngram_order"]
    llmkit("prepare", tiny_copy.config, "prepare.split.val=0.2")
    trained = llmkit("train", tiny_copy.config, "prepare.split.val=0.2", "--json")
    assert place.stat().st_mtime_ns != before
    assert f"is not better than that of a {trained.json['ngram_order']}-gram model" in trained.err


def test_a_model_folder_whose_run_is_gone_has_no_ngram_figure(tiny_run, llmkit, tmp_path):
    found = llmkit("evaluate", tiny_run.model, f"run_dir={tmp_path / 'gone'}", "--on", tiny_run.text, "--json").json
    assert "loss" in found
    assert "ngram_loss" not in found
