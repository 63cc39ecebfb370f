"""The page at / where models write: text that streams, the keyboard; and the report, in a browser."""

import time

from browser import serving
from selenium.webdriver.common.keys import Keys

from llmkit.serving.writing import Writer

HOSTILE = "the <img src=x onerror=alert(1)>"
WATCHED = """
const own = window.fetch;  // with a seed, of which it is known that the text does not end at once
window.fetch = (path, how) => own(path, {...how, body: JSON.stringify({...JSON.parse(how.body), seed: 4})});
window.lengths = [];
const note = () => lengths.push(at('answer').textContent.length);
new MutationObserver(note).observe(at('answer'), {childList: true, subtree: true});
"""


LENGTH = 148  # of the prompt and the text of this seed


def test_a_text_streams_and_is_stopped(visit, tiny_run, monkeypatch):
    told = Writer._tell
    monkeypatch.setattr(Writer, "_tell", lambda self, pieces: (time.sleep(0.02), told(self, pieces)))
    with serving(tiny_run.model) as address:
        page = visit(f"http://{address}/")
        page.wait(lambda: page.all("#model option"))
        for expected in ("model", "input"):
            page.press(Keys.TAB)
            assert page.focus == expected
        page.press(HOSTILE)
        page.run(WATCHED)
        page.press(Keys.TAB, Keys.ENTER)
        page.wait(lambda: len(page.run("return lengths")) > 3)  # bit by bit
        page.press(Keys.TAB)
        assert page.focus == "stop"
        page.press(Keys.ENTER)
        assert page.answer().startswith(HOSTILE)  # as text: the prompt is no HTML
        lengths = page.run("return lengths")
        assert lengths == sorted(lengths) and lengths[-1] < LENGTH
        assert not page["stop"].is_displayed() and page["problem"].text == ""


def test_a_report_of_language(read_report, tiny_copy, llmkit):
    assert llmkit("evaluate", tiny_copy.config, "--model", "model", "--model", "int8").code == 0
    for name in ("model/report.html", "compared.html"):
        read_report(tiny_copy.run_dir / "evaluated" / name)
