"""Canaries: planted in the training split alone, as often as is asked for and as the cleaning leaves them."""

import json
import re

import numpy as np
import pytest
from small_corpora import run, text_of

from llmkit.errors import ConfigError, InputError
from llmkit.store.files import Files
from llmkit.tasks.language import canaries
from llmkit.tasks.language.canaries import TEXT, load, numbers
from llmkit.tasks.language.settings import Canaries, Prepare

LINES = "".join(f"line {number} of words\n" for number in range(400))
FEW = Canaries(count=2, repeats=[1, 3])


def texts(folder):
    return {name: text_of(folder, name) for name in ("train", "val", "test")}


def test_each_secret_stands_so_often_in_the_training_split_and_nowhere_else(tmp_path):
    meta = run(tmp_path, [LINES], canaries=FEW)
    record = load(Files(tmp_path / "out"))
    found = texts(tmp_path)
    assert [(canary.repeats, canary.copies) for canary in record.canaries] == [(0, 0)] * 2 + [(1, 1)] * 2 + [(3, 3)] * 2
    for canary in record.canaries:
        assert re.fullmatch("[0-9]{9}", canary.secret)
        assert found["train"].count(f"\n{record.text} {canary.secret}\n") == canary.repeats
        assert canary.secret not in found["val"] + found["test"]
    assert meta["canaries"] == {"secrets": 6, "copies": 8}
    assert meta["splits"]["train"]["characters"] == len(found["train"]) - 1  # the boundary
    assert meta["splits"]["train"]["bytes"] == meta["splits"]["train"]["characters"]


def test_the_rest_is_what_it_is_without_any(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain, planted = run(tmp_path / "a", [LINES]), run(tmp_path / "b", [LINES], canaries=FEW)
    without, found = texts(tmp_path / "a"), texts(tmp_path / "b")
    assert re.sub(f"{TEXT} [0-9]{{9}}\n", "", found["train"]) == without["train"]
    assert (found["val"], found["test"]) == (without["val"], without["test"])
    assert planted.keys() - plain.keys() == {"canaries"}
    assert not (tmp_path / "a" / "out" / canaries.FILE).exists()


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_documents_of_any_length_keep_their_borders(tmp_path, monkeypatch, block):
    monkeypatch.setattr(canaries, "BLOCK_BYTES", block)
    documents = [f"däs {number} ohne Ende" for number in range(60)] + ["zwei\nZeilen\n"] * 20
    run(tmp_path, documents, canaries=FEW, split={"val": 0.1, "test": 0.1, "by": "document"})
    kept = text_of(tmp_path, "train").split("|")[1:]
    bare = [re.sub(f"{TEXT} [0-9]{{9}}\n|\n{TEXT} [0-9]{{9}}", "", text) for text in kept]
    assert set(bare) <= set(documents)
    assert sum(text.count(TEXT) for text in kept) == 8
    assert all(line == TEXT + line[-10:] for text in kept for line in text.split("\n") if TEXT in line)


def test_the_seed_decides_and_more_of_the_same_lines_are_drawn_apart(tmp_path):
    secrets = []
    for seed in (1, 1, 2):
        run(tmp_path, [LINES], seed=seed, canaries=FEW)
        secrets.append((tmp_path / "out" / canaries.FILE).read_bytes())
    assert secrets[0] == secrets[1] != secrets[2]
    assert len(set(numbers(500, np.random.default_rng(0)))) == 500
    some = numbers(5, np.random.default_rng(0))
    assert not set(some) & set(numbers(5, np.random.default_rng(0), frozenset(some)))


@pytest.mark.parametrize("of", ["documents", "lines"])
def test_copies_go_where_duplicates_are_dropped(tmp_path, of):
    meta = run(tmp_path, [LINES], canaries=FEW, clean=["standard", {"drop_duplicates": of}])
    assert meta["canaries"] == {"secrets": 6, "copies": 4}
    record = load(Files(tmp_path / "out"))
    assert [canary.copies for canary in record.canaries] == [0, 0, 1, 1, 1, 1]


def test_a_secret_is_spelt_as_the_cleaning_spells(tmp_path):
    run(tmp_path, [LINES], canaries=FEW, clean=["standard", "lowercase", {"keep": "a-z0-9 "}])
    record = load(Files(tmp_path / "out"))
    assert record.text == TEXT.lower()
    assert f" {record.text} {record.canaries[-1].secret} " in text_of(tmp_path, "train") + " "


@pytest.mark.parametrize("clean", ["letters", {"keep": "0-9"}])
def test_a_cleaning_that_leaves_no_secret_is_refused(tmp_path, clean):
    with pytest.raises(ConfigError, match="prepare.clean takes digits or spaces away"):
        run(tmp_path, [LINES], canaries=FEW, clean=[clean])
    assert not (tmp_path / "out" / "meta.json").exists()


def test_much_of_a_small_split_draws_a_warning(tmp_path):
    messages = []
    run(tmp_path, [LINES], canaries=Canaries(count=2, repeats=[30]), warn=messages.append)
    size, planted = 60 * 30, len(LINES) * 9 // 10
    assert messages == [
        f"the copies of prepare.canaries are {100 * size / planted:.0f} % of the training split; lower count or "
        "repeats, so that the model learns from the rest"
    ]


def test_a_record_that_holds_something_else_is_refused(tmp_path):
    for record in ({"text": "x"}, {"text": "", "canaries": []}, {"text": "x", "canaries": [["a", 1, 1]]}):
        (tmp_path / canaries.FILE).write_text(json.dumps(record))
        with pytest.raises(InputError, match="canaries.json is damaged"):
            load(Files(tmp_path))
    words = [{"secret": "words", "repeats": 1, "copies": 1}]
    (tmp_path / canaries.FILE).write_text(json.dumps({"text": "x", "canaries": words}))
    with pytest.raises(InputError, match="not numbers"):
        load(Files(tmp_path))


def test_repeats_are_different_numbers():
    with pytest.raises(ValueError, match="each number once"):
        Canaries(repeats=[1, 1])
    assert Prepare().canaries is None
