"""Files to splits of streams (`document_splits`): by position, by document, by hash of the text."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from small_corpora import B, run, text_of

from llmkit.errors import InputError
from llmkit.tasks.language import spool


def test_split_by_position_cuts_the_stream(tmp_path):
    meta = run(tmp_path, ["aé漢🙂b", "cdefg", "hijklmnopq"], split={"val": 0.15, "test": 0.2})
    # 20 characters: 13 train, 3 validate, 4 test; the cuts go through the third file.
    assert text_of(tmp_path, "train") == "|aé漢🙂b|cdefg|hij"
    assert text_of(tmp_path, "val") == "|<unk><unk><unk>"
    assert text_of(tmp_path, "test") == "|<unk><unk><unk><unk>"
    assert meta["splits"]["train"] == {
        "documents": 3,
        "characters": 13,
        "bytes": 1 + 2 + 3 + 4 + 1 + 5 + 3,
        "tokens": 16,
        "unknown_tokens": 0,
    }
    assert meta["splits"]["val"]["unknown_tokens"] == 3
    assert meta["vocab_size"] == 2 + 13
    assert meta["val_coverage"] == {"tokens": 0.0, "types": 0.0}


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="aé漢🙂\n", min_size=1, max_size=9), min_size=1, max_size=6),
    val=st.sampled_from([0.05, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.05, 0.1, 0.3]),
    block=st.sampled_from([1, 5, 1 << 16]),
)
def test_position_agrees_with_slicing_the_whole_text(tmp_path_factory, texts, val, test, block):
    folder = tmp_path_factory.mktemp("position")
    whole = "".join(texts)
    train_end, val_end = int(len(whole) * round(1 - val - test, 9)), int(len(whole) * round(1 - test, 9))
    expected = {"train": whole[:train_end], "val": whole[train_end:val_end], "test": whole[val_end:]}
    if not test:
        del expected["test"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "BLOCK_BYTES", block)
        if min(len(text.encode()) for text in expected.values()) < 2:
            with pytest.raises(InputError, match=r"needs at least 2 tokens, found [01];"):
                run(folder, texts, split={"val": val, "test": test}, clean="none", tokenizer={"kind": "byte"})
            return
        meta = run(folder, texts, split={"val": val, "test": test}, clean="none", tokenizer={"kind": "byte"})
    assert list(meta["splits"]) == list(expected)
    for name, text in expected.items():
        counts = meta["splits"][name]
        assert text_of(folder, name).replace(B, "") == text
        assert (counts["characters"], counts["bytes"]) == (len(text), len(text.encode()))
        assert counts["tokens"] == counts["documents"] + counts["bytes"]
    ends = np.cumsum([len(text) for text in texts])
    inside = [end for end in ends[:-1] if end not in (train_end, val_end)]
    assert sum(split["documents"] for split in meta["splits"].values()) == len(inside) + len(expected)


def test_the_90_percent_of_tiny_shakespeare(tmp_path):
    # The customary split, of 1,115,394 characters: the first int(n * 0.9) train, the others validate.
    text = "".join(chr(97 + i * i % 26) for i in range(11_153))
    meta = run(tmp_path, [text], split={"val": 0.1, "test": 0})
    assert text_of(tmp_path, "train") == B + text[: int(11_153 * 0.9)]
    assert text_of(tmp_path, "val") == B + text[int(11_153 * 0.9) :]
    assert not (tmp_path / "out" / "test.npy").exists()
    assert list(meta["splits"]) == ["train", "val"]
    assert 1 - 0.05 - 0.05 < 0.9  # and yet a tenth held out in two halves leaves the same
    run(tmp_path, [text], split={"val": 0.05, "test": 0.05})
    assert text_of(tmp_path, "train") == B + text[: int(11_153 * 0.9)]


def test_split_by_document_keeps_documents_whole_and_copies_together(tmp_path):
    texts = [f"{i:02} " + "x" * 47 for i in range(20)]
    texts += texts[:5]  # copies
    meta = run(tmp_path, texts, split={"val": 0.1, "test": 0.2, "by": "document"})
    found = {name: text_of(tmp_path, name).split(B)[1:] for name in ("train", "val", "test")}
    assert sorted(text for part in found.values() for text in part) == sorted(texts)
    assert set(found["train"]) & set(found["val"]) == set(found["train"]) & set(found["test"]) == set()
    assert set(found["val"]) & set(found["test"]) == set()
    for name, share in (
        ("val", 0.1),
        ("test", 0.2),
    ):  # of 1,250 characters, to within a document and its copy
        assert abs(meta["splits"][name]["characters"] - share * 1250) <= 50
    # In the order of the corpus.
    assert found["train"] == [text for text in texts if text in found["train"]]


def test_the_seed_chooses_the_documents(tmp_path):
    texts = [f"{i:02} document" for i in range(30)]
    chosen = []
    for seed in (1, 1, 2):
        run(tmp_path, texts, seed=seed, split={"val": 0.2, "test": 0.2, "by": "document"})
        chosen.append(text_of(tmp_path, "val"))
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize("seed", range(8))
def test_a_large_document_goes_to_training(tmp_path, seed):
    texts = ["x" * 1000, "one", "two"]
    run(
        tmp_path,
        texts,
        seed=seed,
        split={"val": 0.1, "test": 0.1, "by": "document"},
        tokenizer={"kind": "byte"},
    )
    assert text_of(tmp_path, "train") == B + "x" * 1000


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("val", "test"), [(0.6, 0.3), (0.3, 0.6), (0.9, 0.05), (0.01, 0.01)])
def test_every_split_gets_a_document(tmp_path, seed, val, test):
    texts = ["first", "second", "third"]
    meta = run(
        tmp_path,
        texts,
        seed=seed,
        split={"val": val, "test": test, "by": "document"},
        tokenizer={"kind": "byte"},
    )
    assert [split["documents"] for split in meta["splits"].values()] == [1, 1, 1]


def test_too_few_documents(tmp_path):
    with pytest.raises(InputError, match="document needs at least 3 different documents, found 2; add files or"):
        run(tmp_path, ["same text", "same text", "other text"], split={"by": "document"})
    meta = run(tmp_path, ["same text", "same text", "other text"], split={"by": "document", "test": 0})
    assert sorted(split["documents"] for split in meta["splits"].values()) == [1, 2]


def test_split_by_hash_depends_on_the_text_alone(tmp_path):
    texts = [f"document {i}" for i in range(200)]
    texts += texts[:20]

    def split_of(text):  # BLAKE2b of the text, its first 8 bytes as a number in [0, 1)
        place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest()[:8], "little") / 2**64
        return "val" if place < 0.2 else "test" if place < 0.5 else "train"

    run(tmp_path, texts, split={"val": 0.2, "test": 0.3, "by": "hash"})
    for name in ("train", "val", "test"):
        assert text_of(tmp_path, name).split(B)[1:] == [text for text in texts if split_of(text) == name]


def test_duplicates_are_dropped_after_cleaning(tmp_path):
    texts = ["One two", "one  two ", "three four", "ONE TWO", "five six"]
    clean = ["lowercase", "squeeze_space", "drop_duplicates"]
    meta = run(tmp_path, texts, clean=clean, split={"val": 0.4, "test": 0}, tokenizer={"kind": "byte"})
    assert text_of(tmp_path, "train") + text_of(tmp_path, "val").replace(B, "", 1) == "|one two|three four|five six"
    assert (meta["documents"], meta["dropped_documents"], meta["characters"]) == (3, 2, 7 + 10 + 8)
