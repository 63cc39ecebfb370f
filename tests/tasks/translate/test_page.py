"""The page at / for translations, in a browser."""

from browser import serving
from selenium.webdriver.common.keys import Keys


def test_a_word_is_translated(visit, translate_run):
    with serving(translate_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page["input"].is_displayed())
        page["input"].send_keys("ab" + Keys.CONTROL + Keys.ENTER)
        assert page.answer().startswith("text ay bee")
        assert not page["why"].is_displayed()
