"""Pairs from files, what is left out, splits, the vocabulary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.data.splits import grouped
from llmkit.store.files import Files
from llmkit.tasks.translate import pairs as reading, prepare, vocabulary as vocabularies
from llmkit.tasks.translate.pairs import Pair, holds_script, likeness
from llmkit.tasks.translate.settings import Prepare


def run(llmkit: Any, tmp_path: Path, *overrides: str) -> Any:
    config = tmp_path / "x.yaml"
    config.write_text(f"task: translate\nrun_dir: {tmp_path / 'run'}\n")
    return llmkit("prepare", config, *overrides, "--json")


def rows(count: int) -> str:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    lines = [
        f"{words[k % 10]} {words[k // 10 % 10]} {words[k // 100]},{words[k // 10 % 10].upper()} {k}"
        for k in range(count)
    ]
    return "source,target\n" + "\n".join(lines) + "\n"


def test_what_is_wrong_with_pairs_is_counted(llmkit: Any, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(rows(100) + "same,same\n,nothing\nnothing,\nx,Y\nx,Y\n" + "long " * 300 + ",z\n")
    ran = run(llmkit, tmp_path, f"prepare.files={file}", "prepare.tokenizer={kind: char}")
    found = json.loads(ran.out)
    assert found["dropped"] == {"copied": 1, "empty": 2, "there twice": 1, "too long": 1}
    assert found["examples"] == 101 and "5 pairs are left out: 1 copied, 2 empty" in ran.err
    assert sum(found["splits"].values()) == 101


def test_two_files_of_lines(llmkit: Any, tmp_path: Path) -> None:
    sources, targets = tmp_path / "a.zh", tmp_path / "a.en"
    sources.write_text("".join(f"第{k}行文字\n" for k in range(40)))
    targets.write_text("".join(f"line {k} of text\n" for k in range(40)))
    files = [f"prepare.source_files={sources}", f"prepare.target_files={targets}"]
    ran = run(llmkit, tmp_path, *files, "prepare.split.mask_numbers=false")
    assert json.loads(ran.out)["examples"] == 40
    assert prepare.texts(Files(tmp_path / "run" / "prepared"))[3] == ("第3行文字", "line 3 of text")
    ran = run(llmkit, tmp_path, *files, "prepare.split.mask_numbers=false", "prepare.reverse=true")
    assert prepare.texts(Files(tmp_path / "run" / "prepared"))[3] == ("line 3 of text", "第3行文字")
    targets.write_text("one line\n")
    ran = run(llmkit, tmp_path, *files)
    assert ran.code == 3 and f"{sources} has 40 lines and {targets} has 1" in ran.out
    ran = run(llmkit, tmp_path, files[0])
    assert ran.code == 2 and "source_files and target_files" in ran.out


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("src,target\na,b\n", 3, "there is no column 'source' (prepare.source); there are: src, target"),
        ("source,target\na,b\n", 3, "different groups"),
        ("source,target\na,a\n", 3, "no pair to learn from (1 copied)"),
        ('{"source": "a", "target": 3}\n', 3, "a source or target is text, not int"),
    ],
)
def test_bad_files(llmkit: Any, tmp_path: Path, content: str, code: int, says: str) -> None:
    file = tmp_path / ("pairs.jsonl" if content.startswith("{") else "pairs.csv")
    file.write_text(content)
    ran = run(llmkit, tmp_path, f"prepare.files={file}")
    assert ran.code == code and says in json.loads(ran.out)["error"]["message"]


def test_equal_targets_draw_a_warning(llmkit: Any, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("source,target\n" + "".join(f"{'ab' * k},y\n" for k in range(1, 30)))
    ran = run(llmkit, tmp_path, f"prepare.files={file}")
    assert ran.code == 0 and "all training targets are equal" in ran.err


def test_sources_that_are_about_the_same_stay_together() -> None:
    assert likeness("Page 12 of 30.", True) == likeness("page 7 of 1,200", True) == "page 0 of 0"
    assert likeness("Page 12", False) != likeness("Page 13", False)
    assert likeness("!!!", True) != likeness("...", True)
    texts = [f"Step {k % 7}: item {'abcdefgh'[k % 8]}" for k in range(56)]
    of = grouped(np.array([likeness(text, True) for text in texts]), 0.2, 0.2, 1)
    for letter in "abcdefgh":
        assert len({part for text, part in zip(texts, of, strict=True) if text.endswith(letter)}) == 1


def test_scripts() -> None:
    assert holds_script("打开 Writer", "han") and holds_script("打开 Writer", "latin")
    assert not holds_script("Open", "han") and holds_script("1999", "han")
    assert not holds_script("Открыть", "latin") and holds_script("Открыть", "cyrillic")
    settings = Prepare(source_script="han", target_script="latin")
    assert reading.fault(Pair("Open", "Open it", ""), settings) == "of another script"
    assert reading.fault(Pair("打开", "Open", ""), settings) is None
    assert reading.fault(Pair("Open", "打开", ""), Prepare(source_script="han", reverse=True)) is None


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.sampled_from(["bpe", "char", "byte"]))
def test_a_text_that_was_learnt_comes_back(tmp_path_factory: Any, texts: list[str], kind: str) -> None:
    texts = [vocabularies.clean(text) for text in texts]
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabularies.learn(kind, 300, texts, folder, "")
    vocabulary = vocabularies.of_folder(Files(folder))
    for text in texts:
        ids = vocabulary.of_target(text)
        assert vocabulary.text(ids.tolist()) == text and vocabulary.written[ids].all()
        assert vocabularies.BOUNDARY not in ids and not vocabulary.unknown(vocabulary.of_source(text))


def test_symbols_beside_letters(tmp_path: Path) -> None:
    vocabularies.learn("char", None, ["cab"], tmp_path, "")
    vocabularies.learn("symbols", None, ["K AE1 B", "B"], tmp_path, vocabularies.TARGET)
    vocabulary = vocabularies.of_folder(Files(tmp_path))
    # Letters: the boundary and unknown of a tokenizer, a, b, c, after 0. Symbols: unknown, AE1, B, K.
    assert vocabulary.of_source("bad").tolist() == [4, 3, 2] and vocabulary.unknown(vocabulary.of_source("bad")) == 1
    assert vocabulary.of_target("K AE1 B").tolist() == [9, 7, 8] and vocabulary.size == 10
    assert np.flatnonzero(vocabulary.written).tolist() == [0, 7, 8, 9]
    assert vocabulary.text([9, 7]) == "K AE1"
