"""Files to streams of tokens: their counts by hand, long documents, and everything that can be too little."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from small_corpora import B, run, text_of
from tokenizers import Tokenizer as HuggingFace

from llmkit.errors import ConfigError, InputError
from llmkit.tasks.language import prepare as module
from llmkit.tasks.language.prepare import encode_files, prepare
from llmkit.tasks.language.settings import Prepare


def test_tokenizers_see_the_training_split_only(tmp_path):
    meta = run(tmp_path, ["abc" * 30, "abx" * 2], split={"val": 6 / 96, "test": 0})
    assert meta["vocab_size"] == 2 + 3
    assert meta["tokenizer_trained_on_characters"] == 90
    assert meta["splits"]["val"]["unknown_tokens"] == 2
    # Of 6 tokens 4 are known; of a, b and <unk> training has seen the first two.
    assert meta["val_coverage"] == {"tokens": round(4 / 6, 6), "types": round(2 / 3, 6)}
    assert (meta["boundary_id"], meta["unknown_id"], meta["tokenizer"]) == (0, 1, "char")


def test_unknown_characters_count_as_the_different_ones_that_they_are(tmp_path):
    """Of a, b, x, y and z training has seen the first two; x comes twice."""
    meta = run(tmp_path, ["ab" * 45, "abxyzx"], split={"val": 6 / 96, "test": 0})
    assert meta["val_coverage"] == {"tokens": round(2 / 6, 6), "types": round(2 / 5, 6)}


def test_copies_of_training_documents_are_told(tmp_path):
    messages = []
    run(tmp_path, ["the same words"] * 9 + ["others here as"], split={"val": 0.2, "test": 0}, warn=messages.append)
    assert messages == [
        "1 of the 2 documents that validate and test are copies of training documents, so the figures are too good; "
        "set prepare.split.by: document, which keeps copies together, or prepare.clean: drop_duplicates"
    ]


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("block", [64, 1 << 16])
def test_long_documents_are_encoded_like_a_whole(tmp_path, monkeypatch, kind, block):
    text = "".join(f"Line {i},  the   king's\n\n" if i % 3 else f"漢字{i}\t" for i in range(400))
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    meta = run(
        tmp_path,
        [text],
        clean="none",
        tokenizer={"kind": kind, "vocab_size": 300},
        split={"val": 0.5, "test": 0},
    )
    tokenizer = HuggingFace.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for name, part in (("train", text[: len(text) // 2]), ("val", text[len(text) // 2 :])):
        ids = np.load(tmp_path / "out" / f"{name}.npy", mmap_mode="r")
        assert ids.tolist() == [meta["boundary_id"], *tokenizer.encode(part).ids]
        assert ids.dtype == (np.uint8 if kind == "word" else np.uint16)  # 55 words, 300 tokens
    tokens = sum(split["tokens"] - 1 for split in meta["splits"].values())
    assert meta["characters_per_token"] == round(len(text) / tokens, 4)


def test_text_without_a_safe_cut_is_cut_anyhow(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 16)
    monkeypatch.setattr(module, "LONGEST_BLOCK", 64)
    run(tmp_path, ["x" * 1000], tokenizer={"kind": "bpe", "vocab_size": 300}, split={"val": 0.5, "test": 0})
    assert text_of(tmp_path, "train") == B + "x" * 500


def test_streams_longer_than_one_write(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 7)
    monkeypatch.setattr(module, "BLOCK_BYTES", 5)
    texts = ["abcdefghij" * 5, "klmnopqrst" * 5]
    run(tmp_path, texts, split={"val": 0.2, "test": 0})
    assert text_of(tmp_path, "train") == f"|{texts[0]}|{texts[1][:30]}"


def test_tokenizer_training_is_bounded_and_spread(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOKENIZER_CHARACTERS", 1000)
    messages = []
    texts = [f"word{i:03} " * 10 for i in range(100)]  # 80 characters each
    meta = run(tmp_path, texts, warn=messages.append, tokenizer={"kind": "word"}, split={"val": 0.1, "test": 0})
    assert 1000 - 80 <= meta["tokenizer_trained_on_characters"] <= 1000 + 80
    vocab = HuggingFace.from_file(str(tmp_path / "out" / "tokenizer.json")).get_vocab()
    numbers = sorted({int(token) for token in vocab if token.isdigit()})
    assert numbers[0] < 10
    assert numbers[-1] > 80
    assert messages == ["the word tokenizer is trained on 1,000 characters spread over the 7,200 of the training split"]


def test_bpe_is_trained_on_less_where_pieces_do_not_repeat(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DIFFERENT_PIECES_BYTES", 4000)
    monkeypatch.setattr(module, "PROBE_CHARACTERS", 2000)
    keys = {"tokenizer": {"kind": "bpe", "vocab_size": 300}, "split": {"val": 0.1, "test": 0}}
    messages = []
    english = [f"{number:02} " + "to be or not to be " * 50 for number in range(20)]
    meta = run(tmp_path, english, warn=messages.append, **keys)
    assert meta["tokenizer_trained_on_characters"] == meta["splits"]["train"]["characters"] == 17_154
    assert messages == []
    numbers = [" ".join(f"x{hashlib.md5(bytes([i, j])).hexdigest()}" for j in range(25)) for i in range(20)]
    meta = run(tmp_path, numbers, warn=messages.append, **keys)
    assert meta["tokenizer_trained_on_characters"] < 8000 < meta["splits"]["train"]["characters"]
    assert len(messages) == 1


def test_rows_of_tables_are_documents(tmp_path):
    (tmp_path / "rows.csv").write_text("n,text\n" + "".join(f'{i},"row ""{i % 10}"""\n' for i in range(40)))
    meta = run(tmp_path, [], files=str(tmp_path / "rows.csv"), field="text", split={"val": 0.1, "test": 0.1})
    assert meta["documents"] == 40
    assert text_of(tmp_path, "val") == '|row "2"|row "3"|row "4"|row "5"'
    row = tmp_path / "rows.csv"
    assert meta["sources"] == [
        {
            "path": str(row),
            "bytes": row.stat().st_size,
            "sha256": hashlib.sha256(row.read_bytes()).hexdigest(),
        }
    ]


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
def test_the_same_input_gives_the_same_bytes(tmp_path, kind):
    texts = [f"This is number {i}, and {i * i} is its square.\n" * 5 for i in range(12)]
    folders = []
    for _ in range(2):
        run(tmp_path, texts, tokenizer={"kind": kind, "vocab_size": 300}, split={"by": "document", "val": 0.2})
        folders.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert folders[0] == folders[1]
    assert sorted(folders[0]) == ["meta.json", "test.npy", "tokenizer.json", "train.npy", "val.npy"]


def test_other_files_with_the_same_tokenizer(tmp_path):
    run(tmp_path, ["Hello world\n" * 20], clean=["lowercase"], split={"val": 0.1, "test": 0})
    other = tmp_path / "other.txt"
    other.write_text("HELLO, wor")
    tokenizer = HuggingFace.from_file(str(tmp_path / "out" / "tokenizer.json"))
    summary = encode_files(
        [other],
        Prepare(clean=["lowercase"]),
        tokenizer,
        tmp_path / "other.npy",
        tmp_path / "work",
        lambda *a: None,
        pytest.fail,
    )
    assert np.load(tmp_path / "other.npy").tolist() == [0, *tokenizer.encode("hello, wor").ids]
    source = summary.pop("sources")[0]
    assert summary == {"documents": 1, "characters": 10, "bytes": 10, "tokens": 11, "unknown_tokens": 1}
    assert source["bytes"] == 10


def test_progress_ends_at_its_total(tmp_path):
    (tmp_path / "a.txt").write_text("To be, or not to be\n" * 500)
    seen = {}
    (tmp_path / "out").mkdir()
    keys = Prepare(files=str(tmp_path / "a.txt"))
    prepare(
        keys,
        1,
        tmp_path / "out",
        tmp_path / "work",
        lambda what, done, total: seen.update({what: (done, total)}),
        pytest.fail,
    )
    assert seen["reading"] == (10_000, 10_000)
    assert seen["encoding train"] == (9_000, 9_000)


def test_an_empty_file_among_others_is_skipped_with_a_warning(tmp_path):
    messages = []
    meta = run(tmp_path, ["text " * 10, "", "more " * 10], warn=messages.append)
    assert [message.split("/")[-1] for message in messages] == ["001.txt holds no text and is skipped"]
    assert meta["documents"] == 2


@pytest.mark.parametrize(("texts", "clean"), [([""], "none"), (["", "\ufeff"], "standard"), (["123"], "letters")])
def test_no_text_at_all(tmp_path, texts, clean):
    with pytest.raises(InputError, match=r"there is no text in .*000\.txt"):
        run(tmp_path, texts, clean=clean)


@pytest.mark.parametrize(
    ("texts", "split", "words"),
    [
        (
            ["abcdefghij"],
            {"val": 0.1, "test": 0},
            r"the val split needs at least 2 tokens, found 1; .*split\.val \(now 0\.1\)",
        ),
        (["abc"], {"val": 0.1, "test": 0.1}, r"the val split needs at least 2 tokens, found 0"),
        (
            ["abc"],
            {"val": 0.5, "test": 0},
            r"the train split needs at least 2 tokens, found 1; .*lower prepare\.split\.val",
        ),
        (
            ["abcdefghij"],
            {"val": 0.1, "test": 0, "by": "hash"},
            r"split needs at least 2 tokens.*split\.by=position",
        ),
    ],
)
def test_a_split_of_fewer_than_two_tokens(tmp_path, texts, split, words):
    with pytest.raises(InputError, match=words):
        run(tmp_path, texts, split=split)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"split": {"val": 0}}, r"prepare\.split\.val must be above 0"),
        ({"split": {"val": 0.5, "test": 0.5}}, "leave nothing to train on"),
        ({"clean": "stand"}, "did you mean standard"),
        ({"encoding": "utf8000"}, r"prepare\.encoding"),
        ({"tokenizer": {"kind": "bpe", "vocab_size": 100}}, "at least 257"),
        ({"files": ""}, r"prepare\.files is empty"),
    ],
)
def test_mistakes_in_the_config_are_found_before_reading(tmp_path, keys, words):
    with pytest.raises(ConfigError, match=words):
        run(tmp_path, ["text"], **keys)
    assert not (tmp_path / "work").exists()


def test_the_spool_is_gone_after_a_broken_file(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "zzz.txt").write_bytes(b"fine until \xff")
    with pytest.raises(InputError, match=r"zzz\.txt is not valid utf-8 at byte 11"):
        run(tmp_path, ["good text\n" * 100])
    assert list((tmp_path / "work").iterdir()) == []


def test_importing_it_imports_neither_torch_nor_tokenizers():
    code = "import sys, llmkit.tasks.language.prepare; print({'torch', 'tokenizers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_workers_prepare_the_same_bytes(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 500)
    texts = [f"Line {i},  the   king's\n\n漢字{i}\t" * 40 for i in range(9)]
    made = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        run(
            folder, texts, tokenizer={"kind": kind, "vocab_size": 300}, workers=workers, split={"val": 0.2, "test": 0.2}
        )
        made.append({path.name: path.read_bytes() for path in folder.rglob("*.npy")})
    assert made[0] == made[1] and set(made[0]) == {"train.npy", "val.npy", "test.npy"}
