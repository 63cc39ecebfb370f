"""The page at / for pictures that are made: how many, of which label; and the report, in a browser."""

import shutil

from browser import serving
from selenium.webdriver.support.select import Select


def test_pictures_are_made(visit, image_run):
    with serving(image_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page.all("#fields select"))
        count, seed, label = page.all("#fields input, #fields select")
        assert [one.get_attribute("value") for one in (count, seed, label)] == ["1", "1", ""]
        count.clear()
        count.send_keys("3")
        Select(label).select_by_visible_text("right")
        page["ask"].click()
        page.wait(lambda: len(page.all("#answer img")) == 3)
        assert all(page.run("return arguments[0].naturalWidth", one) == 28 for one in page.all("#answer img"))


def test_a_report_of_made_pictures(read_report, image_run, tmp_path, llmkit):
    run_dir = shutil.copytree(image_run.run_dir, tmp_path / "run")
    assert llmkit("evaluate", image_run.config, f"run_dir={run_dir}").code == 0
    page = read_report(run_dir / "evaluated" / "model" / "report.html")
    assert page.all("img")
