"""The page at / for series: the chart of a forecast; and the report, in a browser."""

import shutil

import numpy as np
from browser import serving


def test_a_forecast_is_drawn(visit, series_run):
    values = (20 + 5 * np.sin(2 * np.pi * np.arange(48) / 12)).round(2)
    with serving(series_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page["input"].is_displayed())
        page["input"].send_keys(" ".join(map(str, values)))
        page["ask"].click()
        answer = page.answer()
        assert "From " in answer and "+6 " in answer and "+7 " not in answer
        [chart] = page.all("#answer svg.chart")
        assert "6 steps after 18 past values" in chart.get_attribute("aria-label")
        past, median = (line.get_attribute("points").split() for line in page.all("#answer polyline"))
        assert (len(past), len(median), len(page.all("#answer polygon"))) == (18, 6, 2)
        page["input"].clear()
        page["input"].send_keys("1 2 three")
        page["ask"].click()
        page.wait(lambda: "'three' is no number" in page["problem"].text)


def test_a_report_of_series(read_report, series_run, tmp_path, llmkit):
    run_dir = shutil.copytree(series_run.run_dir, tmp_path / "run")
    assert llmkit("evaluate", series_run.config, f"run_dir={run_dir}").code == 0
    read_report(run_dir / "evaluated" / "model" / "report.html")
