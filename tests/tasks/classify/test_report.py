"""The report of a classifier whose data has HTML in it."""


def test_the_report_of_a_classifier_and_a_hostile_text(text_fresh, llmkit):
    text = text_fresh.table.read_text().replace("dull", "<script>dull</script>")
    text = text.replace("wonderful,positive", "wonderful,negative")
    text_fresh.table.write_text(text)
    for stage in ("prepare", "train", "evaluate"):
        assert llmkit(stage, text_fresh.config, "train.epochs=1").code == 0
    page = (text_fresh.run_dir / "evaluated" / "model" / "report.html").read_text()
    assert "<script" not in page
    for heading in ("Curves", "By label", "Worst mistakes", "Which label was taken for which"):
        assert f"<h2>{heading}</h2>" in page
