"""The page at / for texts, and a report whose data has a script in it, in a browser."""

from browser import serving


def test_a_text_is_told_and_explained(visit, text_run):
    with serving(text_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page["why"].is_displayed())
        page["input"].send_keys("A <b>dull</b> film, bland and tedious.")
        page["ask"].click()
        assert page.answer().startswith("label negative")
        page["why"].click()
        answer = page.answer()
        assert "Why" in answer and "<b>dull</b>" in answer and not page.all("#answer b")
        assert len({word.value_of_css_property("background-color") for word in page.all("#answer p span")}) > 3


def test_a_script_in_a_report_is_text(read_report, text_fresh, llmkit):
    script = "<script>document.title='run'</script><a_word_that_is_far_too_long_for_a_phone" + "_and_longer" * 12 + ">"
    text = text_fresh.table.read_text().replace("dull", script).replace("negative", script[:40])
    text_fresh.table.write_text(text)
    for stage in ("prepare", "train", "evaluate"):
        assert llmkit(stage, text_fresh.config, "train.epochs=1").code == 0
    page = read_report(text_fresh.run_dir / "evaluated" / "model" / "report.html")
    assert page.driver.title != "run" and not page.all("script")
    assert "<script>document.title='run'</script>" in page.all("body")[0].text
