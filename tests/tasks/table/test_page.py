"""The page at / for a table: a form of a row, with a key or without; and the report, in a browser."""

import shutil

from browser import serving
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from llmkit.serving import keys


def test_a_row_is_filled_in_asked_and_explained(visit, table_run):
    with serving(table_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page.all("#fields select"))
        assert [label.text for label in page.all("#fields label")] == ["income", "debt", "home"]
        income, debt, home = page.all("#fields input, #fields select")
        assert 30 < float(income.get_attribute("value")) < 70  # the median
        income.clear()
        income.send_keys("90")
        debt.clear()
        debt.send_keys("10")
        Select(home).select_by_visible_text("own")
        debt.send_keys(Keys.ENTER)
        answer = page.answer()
        assert answer.startswith("label good") and "bad" in answer and len(page.all("#answer .bar")) == 2
        page.run("at('model').focus()")
        for expected in ("field-0", "field-1", "field-2", "ask", "why"):  # all of it by the keyboard
            page.press(Keys.TAB)
            assert page.focus == expected
        page.press(" ")
        answer = page.answer()
        assert "income = 90" in answer and "debt = 10" in answer and "home = own" in answer
        income.clear()  # a missing value
        income.send_keys(Keys.ENTER)
        page.answer()
        debt.clear()
        debt.send_keys("much" + Keys.ENTER)
        page.wait(lambda: "'much' is no number" in page["problem"].text)
        page.driver.get_log("browser")  # the browser tells of the status 400 by itself


def test_a_number_and_its_interval(visit, number_run):
    with serving(number_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page.all("#fields select"))
        page["why"].click()
        answer = page.answer()
        assert answer.startswith("prediction") and "lower" in answer and "town = " in answer


def test_the_page_asks_for_a_key(visit, table_run, tmp_path):
    file = tmp_path / "keys.json"
    key = keys.add(file, "ada", ["use"], "")
    with serving(table_run.model, keys=keys.Keys(file)) as address:
        page = visit(f"http://ada:{key}@{address}/")
        page.wait(lambda: page.all("#fields select"))
        page["ask"].click()
        assert page.answer().startswith("label")
        page["why"].click()
        page.wait(lambda: "may not" in page["problem"].text)
        page.driver.get_log("browser")  # of the status 403


def test_a_report_of_a_table(read_report, table_run, tmp_path, llmkit):
    run_dir = shutil.copytree(table_run.run_dir, tmp_path / "run")
    assert llmkit("evaluate", table_run.config, f"run_dir={run_dir}").code == 0
    page = read_report(run_dir / "evaluated" / "model" / "report.html")
    assert page.all("svg")
