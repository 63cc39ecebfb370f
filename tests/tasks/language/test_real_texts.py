"""Prompts and scored texts as people store them: read as the training texts were, whatever file they come in."""

import gzip
import json
import unicodedata
from types import SimpleNamespace

import pytest

from llmkit.data.cleaning import clean_prompt
from llmkit.errors import InputError
from llmkit.tasks.language.generate import read_prompts
from llmkit.tasks.language.settings import Generate
from llmkit.tasks.language.use import LanguageModel


def prompts_of(path):
    return read_prompts(Generate(prompt_file=str(path)))


@pytest.mark.parametrize(
    ("text", "clean", "cleaned"),
    [
        ("TO BE", ["standard", "lowercase"], "to be"),
        ("e\u0301", "standard", "é"),
        ("\ufeffa\r\nb", "standard", "a\nb"),
        ("to be ", "standard", "to be "),
        ("to  be  ", ["squeeze_space"], "to be "),  # the blank that the next word is to follow
        ("To be, ", "letters", "to be "),
        ("To be, ", [{"keep": "a-z"}], "obe"),  # which keeps no blanks
        ("a\na\n", [{"drop_duplicates": "lines"}], "a\na\n"),
    ],
)
def test_a_prompt_is_cleaned_as_the_texts_were(text, clean, cleaned):
    assert clean_prompt(text, clean) == cleaned


def test_a_score_does_not_depend_on_how_a_text_is_stored(tiny_run):
    import llmkit

    model = llmkit.load(tiny_run.model)
    wanted = model.score("the sea\nand the sky")
    wanted.pop("scored_tokens_per_second")
    for stored in (
        "the sea\r\nand the sky",
        "\ufeffthe sea\nand the sky",
        unicodedata.normalize("NFD", "the sea\nand the sky"),
    ):
        found = model.score(stored)
        assert {key: found[key] for key in wanted} == wanted


def test_a_model_of_small_letters_reads_capitals(tiny_run):
    """Without the cleaning of its texts every capital would be unknown."""
    import llmkit

    model = llmkit.load(tiny_run.model)
    settings = SimpleNamespace(prepare=SimpleNamespace(clean=["standard", "lowercase"]))
    model.folder = SimpleNamespace(settings=settings, path=model.folder.path)
    assert isinstance(model, LanguageModel)
    said = []
    assert model.generate("THE SEA", warn=said.append, max_tokens=3) == model.generate("the sea", max_tokens=3)
    assert not said


def test_lines_end_at_line_feeds_alone(tmp_path):
    path = tmp_path / "P.TXT"
    path.write_bytes("\ufeffone\u2028two\x0cthree\r\n\n  \nfour".encode())
    assert prompts_of(path) == ["one\u2028two\x0cthree", "four"]


@pytest.mark.parametrize("name", ["P.JSONL", "p.jsonl.gz"])
def test_json_lines_by_any_name_with_blank_lines(tmp_path, name):
    data = '\ufeff{"prompt": "one"}\n\n{"prompt": "two"}\r\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert prompts_of(tmp_path / name) == ["one", "two"]


@pytest.mark.parametrize("row", [{"prompt": None}, {"text": "a"}, {"prompt": 5}])
def test_a_prompt_in_json_lines_is_text(tmp_path, row):
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n' + json.dumps(row) + "\n")
    with pytest.raises(InputError, match='p.jsonl, line 2: a field "prompt" that is text is needed'):
        prompts_of(tmp_path / "p.jsonl")
