"""The page at / for pictures: one that is dropped; and the report, in a browser."""

import shutil

from browser import serving


def test_a_picture_is_dropped_and_explained(visit, vision_run):
    [left, *_] = sorted((vision_run.pictures / "left").iterdir())
    [right, *_] = sorted((vision_run.pictures / "right").iterdir())
    with serving(vision_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page["drop"].is_displayed())
        page["ask"].click()
        page.wait(lambda: page["problem"].text == "choose a picture first")
        page.drop(left, page["drop"])
        page.wait(lambda: page["preview"].is_displayed())
        page["ask"].click()
        assert page.answer().startswith("label left")
        page["file"].send_keys(str(right))  # chosen, in place of dropped
        page.wait(lambda: page.run("return dropped").startswith("data:image/png"))
        page["why"].click()
        assert page.answer().startswith("label right")
        assert len(page.all("#answer svg.patches rect")) == 49 and page.all("#answer svg image")


def test_a_report_of_pictures(read_report, vision_run, tmp_path, llmkit):
    run_dir = shutil.copytree(vision_run.run_dir, tmp_path / "run")
    assert llmkit("evaluate", vision_run.config, f"run_dir={run_dir}").code == 0
    read_report(run_dir / "evaluated" / "model" / "report.html")
