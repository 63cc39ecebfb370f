"""Labelled texts as they come: linked folders, files beside tables, names in capitals, archives, other spellings."""

import gzip
import json
import unicodedata
import zipfile

import pytest

from llmkit.data.files import find_files
from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.classify import prepare as preparing
from llmkit.tasks.classify.settings import Prepare
from llmkit.tasks.classify.texts import Reader

TABLE = "text,label\nA wonderful film.,positive\nA dull plot.,negative\n"


def examples(settings):
    """[(text, label)] as they are read, and what is told."""
    said = []
    paths = find_files(settings.files, by_content=False)
    texts, labels, _ = preparing.read_examples(paths, settings, lambda *_: None, said.append)
    return list(zip(texts, labels, strict=True)), said


def test_a_linked_folder_is_the_label_that_it_is_called(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "one.txt").write_text("bright")
    for label in ("good", "fine"):
        (tmp_path / label).symlink_to(tmp_path / "store")
    found, said = examples(Prepare(files=[str(tmp_path / "good" / "*.txt"), str(tmp_path / "fine" / "*.txt")]))
    assert (found, said) == ([("bright", "good"), ("bright", "fine")], [])


def test_files_beside_tables_are_left_out_and_told(tmp_path):
    (tmp_path / "rows.CSV").write_text(TABLE)
    (tmp_path / "README.md").write_text("how these were made")
    found, said = examples(Prepare(files=str(tmp_path / "*")))
    assert [label for _, label in found] == ["positive", "negative"]
    assert said[0].startswith(f"1 files beside tables hold no rows and are left out, the first {tmp_path}/README.md")


def test_labels_and_texts_that_print_alike_are_one(tmp_path):
    composed, apart = "café", unicodedata.normalize("NFD", "café")
    (tmp_path / "rows.csv").write_text(f"text,label\n{composed},{apart}\n{apart},{composed}\n", encoding="utf-8")
    assert set(examples(Prepare(files=str(tmp_path / "rows.csv")))[0]) == {(composed, composed)}


def test_a_text_is_read_as_in_training_however_it_is_stored(text_run):
    reader = Reader(Files(text_run.model), Prepare())
    text = "A wonderful café,\nreally"
    wanted = reader.read([text])
    for stored in (unicodedata.normalize("NFD", text), text.replace("\n", "\r\n"), "\ufeff" + text):
        found = reader.read([stored])
        assert found.tokens.numbers.tolist() == wanted.tokens.numbers.tolist()
        assert found.features.numbers.tolist() == wanted.features.numbers.tolist()


@pytest.mark.parametrize("name", ["Q.CSV", "q.csv.GZ", "q.zip"])
def test_tables_by_any_name_are_tables_at_use_too(text_run, tmp_path, llmkit, name):
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside/Rows.CSV", TABLE)
    else:
        path.write_bytes(gzip.compress(TABLE.encode()) if name.endswith("GZ") else TABLE.encode())
    lines = llmkit("generate", text_run.model, "--prompt-file", path, "--jsonl").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["A wonderful film.", "A dull plot."]
    assert llmkit("evaluate", text_run.model, "--on", path, "--json").json["examples"] == 2


def test_bytes_that_are_no_text_are_refused(text_run, llmkit):
    ran = llmkit("generate", text_run.model, "--prompt", "caf\udce9")
    assert ran.code == 2 and "is not UTF-8 text; give it in UTF-8" in ran.err


def test_fasttext_s_format_is_named(tmp_path):
    (tmp_path / "train.txt").write_text("__label__good A bright film.\n")
    with pytest.raises(
        InputError, match=r"train.txt looks like fastText's format .*write CSV with the columns text and"
    ):
        examples(Prepare(files=str(tmp_path / "train.txt")))
