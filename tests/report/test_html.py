"""What comes from data is text in a report, and nothing in it asks for anything outside."""

from html.parser import HTMLParser

from hypothesis import given, strategies

from llmkit.report import html
from llmkit.report.html import Section


class Reader(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


EVIL = "<script>alert('x')</script><img src=http://a.b/c onerror=\"x\">&amp;"


def test_a_script_in_a_text_is_shown_as_text() -> None:
    body = html.paragraph(EVIL) + html.table([EVIL], [[EVIL]]) + html.marked([(EVIL, 0.5), (EVIL, None)])
    body += html.confusion({EVIL: {EVIL: 1}})
    read = Reader(html.page(EVIL, [Section(EVIL, body)]))
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in read.tags}
    names = {name for _, attributes in read.tags for name, _ in attributes}
    assert not {"src", "href", "onerror"} & names
    assert read.text.count(EVIL) == 10


def test_the_policy_lets_nothing_be_fetched() -> None:
    assert "default-src 'none'" in html.page("a", []) and "http" not in html.page("a", []).replace("http-equiv", "")


def test_colours_follow_what_words_add() -> None:
    found = html.marked([("good", 0.4), (" ", None), ("bad", -0.2)])
    assert "34, 160, 74, 0.700" in found and "217, 64, 64, 0.350" in found and 'title="-0.2000"' in found


def test_a_planted_confusion_stands_out() -> None:
    found = html.confusion({"a": {"a": 9, "b": 1}, "b": {"a": 0, "b": 10}})
    assert "rgba(200, 50, 50, 0.237)" in found and "rgba(47, 125, 79, 0.750)" in found and "90.0 %" in found


@given(strategies.text(strategies.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf"))))
def test_any_text_comes_back(text: str) -> None:
    assert Reader(html.escape(text)).text == text
