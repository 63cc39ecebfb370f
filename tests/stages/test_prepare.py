"""`llmkit prepare` on data that cannot be used: said by name, nothing written, what was there before stays."""

import os

import pytest
from run_folders import snapshot


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no file", "text.txt"]),
        (b"", ["there is no text in", "text.txt"]),
        (b"\x00\x01\x02\xff\xfe" * 100, ["text.txt", "looks like a binary file"]),
        (b"hello w\xf6rld, " * 30, ["text.txt", "byte 7", "encoding"]),
        (b"abcdefghijkl", ["the val split needs at least 2 tokens, found 1"]),
        (b"abcde", ["the val split needs at least 2 tokens, found 0"]),
    ],
    ids=["missing", "empty", "binary", "not UTF-8", "one token", "no token"],
)
def test_data_that_cannot_be_used(llmkit, tiny_fresh, content, words):
    tiny_fresh.text.unlink()
    if content is not None:
        tiny_fresh.text.write_bytes(content)
    ran = llmkit("prepare", tiny_fresh.config, "--json")
    assert ran.code == ran.json["error"]["code"] == 3
    for word in words:
        assert word in ran.error
    assert not [path for path in tiny_fresh.run_dir.rglob("*") if path.is_file() and path.name != ".lock"]
    assert not (tiny_fresh.run_dir / "prepared").exists()


def test_bad_data_leaves_the_old_artifact(llmkit, tiny_fresh):
    llmkit("prepare", tiny_fresh.config)
    before = snapshot(tiny_fresh.run_dir / "prepared")
    tiny_fresh.text.write_bytes(b"")
    assert llmkit("prepare", tiny_fresh.config).code == 3
    assert snapshot(tiny_fresh.run_dir / "prepared") == before


def test_a_file_that_changes_while_it_is_read_is_told(llmkit, tiny_fresh, monkeypatch):
    from llmkit.tasks.language import prepare as preparing

    whole = preparing.prepare

    def changed(*arguments):
        tiny_fresh.text.write_text(tiny_fresh.text.read_text() + "more", encoding="utf-8")
        return whole(*arguments)

    monkeypatch.setattr(preparing, "prepare", changed)
    ran = llmkit("prepare", tiny_fresh.config)
    assert ran.code == 3 and f"{tiny_fresh.text} was changed while it was read; run: llmkit prepare" in ran.err
    assert not (tiny_fresh.run_dir / "prepared").exists()


def test_a_name_of_a_file_that_is_no_utf_8(llmkit, tiny_fresh):
    """Latin-1, as an old archive has it: é is one byte."""
    name = os.fsencode(tiny_fresh.text.parent) + b"/caf\xe9.txt"
    os.rename(tiny_fresh.text, name)
    config = f"prepare.files={tiny_fresh.text.parent}/caf*.txt"
    ran = llmkit("prepare", tiny_fresh.config, config, "--json")
    assert ran.code == 0 and os.fsencode(ran.json["sources"][0]["path"]) == name
    assert llmkit("train", tiny_fresh.config, config, "train.steps=2").code == 0
