"""Tokenizers: ids against the `tokenizers` package, exact round trips, cuts, and the streaming decoder."""

import json
import re

import pytest
from hypothesis import example, given, settings, strategies as st
from tokenizers import Tokenizer

from llmkit.data import tokenizer as module
from llmkit.data.tokenizer import (
    BOUNDARY,
    PATTERNS,
    UNKNOWN,
    Encoder,
    StreamDecoder,
    check_vocab_size,
    decode,
    distinct_share,
    load,
    safe_cut,
    save,
    smallest_dtype,
    token_bytes,
    train,
)
from llmkit.errors import ConfigError, InputError

KINDS = ["char", "byte", "word", "bpe"]
CORPUS = (
    "To be, or not to be: that is the question:\nWhether 'tis nobler in the mind to suffer\n\n"
    "It's 1603, don't you know? They'll say we've   three  spaces\tand a tab. naïve café – “quoted”\n"
    "    def f(x):\r\n        return x[1:100] # code\n"
    "漢字とかな、「文」。한국어 Ελληνικά 🙂 e\u0301\u3000<unk> <|endoftext|>\n"
) * 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each kind as loaded from its file: {kind: (tokenizer, encoder, table of bytes)}."""
    folder = tmp_path_factory.mktemp("tokenizers")
    tokenizers = {}
    for kind in KINDS:
        save(train(kind, 320, [CORPUS]), folder / f"{kind}.json")
        tokenizer = load(folder / f"{kind}.json")
        tokenizers[kind] = tokenizer, Encoder(tokenizer), token_bytes(tokenizer)
    return tokenizers


# Text that looks like text: words and marks of the corpus, white space of every sort, and anything else.
TEXT = st.lists(
    st.one_of(
        st.sampled_from(re.findall(r"\w+|\W", CORPUS)),
        st.sampled_from(
            [" ", "  ", "   ", "\n", "\r\n", "\t", "\xa0", "'s", "’ll", "'Tis", "12345", "a" * 40, "字" * 40]
        ),
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5),
    ),
    max_size=30,
).map("".join)
SPECIAL = f"{BOUNDARY}{UNKNOWN} {BOUNDARY} {UNKNOWN}x"


# --- the same ids as the tokenizers package, and the same text back ---


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=250, deadline=None)
@example(SPECIAL)
@example("")
@example(" " * 40 + "x" + " " * 17)
@example(CORPUS)
@given(text=TEXT)
def test_ids_are_those_of_the_tokenizers_package(made, kind, text):
    tokenizer, encoder, table = made[kind]
    ids = encoder.encode(text)
    assert ids.tolist() == tokenizer.encode(text, add_special_tokens=False).ids
    assert ids.tolist() == tokenizer.encode(text).ids
    assert ids.dtype == encoder.dtype == smallest_dtype(encoder.vocab_size)
    assert encoder.boundary_id not in ids
    if encoder.count_unknown(ids) == 0:
        expected = re.sub(" \n", "\n", re.sub(f"[ {module.BLANK}]+", " ", text)) if kind == "word" else text
        assert decode(table, ids) == expected
        assert tokenizer.decode(ids.tolist(), skip_special_tokens=False) == expected


@settings(max_examples=500, deadline=None)
@given(text=TEXT)
def test_every_character_is_in_exactly_one_piece(text):
    for pattern in PATTERNS.values():
        assert "".join(re.findall(pattern, text)) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It's 'tis don't", ["It", "'s", " '", "tis", " don", "'t"]),
        ("x  = y[12345]\n\n    z", ["x", " ", " =", " y", "[", "123", "45", "]", "\n\n", "   ", " z"]),
        ("naïve—“Ελλ” \t\n", ["naïve", "—“", "Ελλ", "”", " ", "\t", "\n"]),
        ("a" * 33, ["a" * 32, "a"]),
        ("the 漢字です。", ["the", " 漢字です", "。"]),
    ],
)
def test_pieces_of_bpe(text, pieces):
    assert re.findall(PATTERNS["bpe"], text) == pieces


def test_words_of_unspaced_scripts_are_characters():
    assert re.findall(PATTERNS["word"], "the 漢字。") == ["the", " 漢", "字", "。"]


def test_known_text_comes_back_exactly(made):
    for kind in ("char", "byte", "bpe"):
        _, encoder, table = made[kind]
        assert decode(table, encoder.encode(CORPUS)) == CORPUS


# --- vocabularies computed by hand ---


def test_char_vocabulary():
    tokenizer = train("char", 8000, ["ba", "\nb"])
    assert tokenizer.get_vocab() == {BOUNDARY: 0, UNKNOWN: 1, "\n": 2, "a": 3, "b": 4}
    encoder = Encoder(tokenizer)
    ids = encoder.encode("abcé\n🙂")
    assert ids.tolist() == [3, 4, 1, 1, 2, 1]
    assert encoder.count_unknown(ids) == 3
    assert (encoder.kind, encoder.vocab_size, encoder.boundary_id, encoder.unknown_id) == ("char", 5, 0, 1)


def test_byte_ids_are_bytes():
    encoder = Encoder(train("byte", 8000, []))
    assert encoder.encode("aé").tolist() == [0x61, 0xC3, 0xA9]
    assert (encoder.vocab_size, encoder.boundary_id, encoder.unknown_id, encoder.dtype) == (
        257,
        256,
        None,
        "<u2",
    )


def test_word_vocabulary_is_the_most_frequent():
    text = "the king, the king,  the \nqueen"
    tokenizer = train("word", 5, [text])
    # " king" 2, "," 2, " the" 2, then once each "\n", "queen", "the": ties in the order of the code points.
    assert sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get) == [
        BOUNDARY,
        UNKNOWN,
        " king",
        " the",
        ",",
    ]
    encoder = Encoder(tokenizer)
    assert encoder.encode("the king,\tthe  king").tolist() == [1, 2, 4, 3, 2]


def test_bpe_merges_the_most_frequent_pair():
    encoder = Encoder(tokenizer := train("bpe", 258, ["ab ab ab"]))
    vocab = tokenizer.get_vocab()
    assert len(vocab) == 258
    assert vocab["ab"] == 256
    assert encoder.boundary_id == 257
    assert encoder.encode("abba").tolist() == [256, vocab["b"], vocab["a"]]


def test_bpe_is_trained_alike_twice():
    texts = [CORPUS, CORPUS.swapcase(), CORPUS[::-1]]
    assert train("bpe", 400, texts).to_str() == train("bpe", 400, texts).to_str()


def test_the_share_of_different_pieces():
    assert distinct_share(["the king", " the king"]) == (3 + 5 + 4) / 17
    assert distinct_share(["é" * 10]) == 1
    assert distinct_share([]) == 0


def test_token_arrays_use_the_smallest_type():
    assert [smallest_dtype(n).str for n in (256, 257, 65536, 65537)] == ["|u1", "<u2", "<u2", "<u4"]


# --- encoding in parts ---


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@example(text="a\n \n b", lengths=[1])
@given(text=TEXT, lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_parts_cut_where_it_is_safe_encode_like_the_whole(made, kind, text, lengths):
    encoder = made[kind][1]
    ids, held, at, turn = [], "", 0, 0
    while at < len(text):
        length = lengths[turn % len(lengths)]
        part = held + text[at : at + length]
        at, turn = at + length, turn + 1
        cut = len(part) if at >= len(text) else safe_cut(part)
        ids += encoder.encode(part[:cut]).tolist()
        held = part[cut:]
    assert ids == encoder.encode(text).tolist()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", 0),
        ("abc", 0),
        ("ab cd", 2),
        ("ab  ", 2),
        (" ab", 0),
        ("a\nb", 2),
        ("a\n\n", 0),
        ("a\n b", 0),
        ("a b\nc", 4),
    ],
)
def test_safe_cut(text, cut):
    assert safe_cut(text) == cut


def test_a_full_cache_changes_nothing(made, monkeypatch):
    tokenizer = made["bpe"][0]
    monkeypatch.setattr(module, "CACHED_ENTRIES", 3)
    monkeypatch.setattr(module, "CACHED_CHARACTERS", 6)
    assert Encoder(tokenizer).encode(CORPUS).tolist() == tokenizer.encode(CORPUS).ids


def test_half_a_surrogate_pair_is_no_crash(made):
    # It reaches a program in the arguments of a command, for bytes that are not valid.
    for kind, unknown in (("char", [None, True]), ("word", [True])):
        encoder = made[kind][1]
        ids = encoder.encode("a\ud800").tolist()
        assert [i == encoder.unknown_id or None for i in ids] == unknown
    for kind in ("byte", "bpe"):
        assert decode(made[kind][2], made[kind][1].encode("a\ud800")) == "a?"


# --- the streaming decoder ---


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_stream_of_any_tokens_gives_the_text_of_all(made, kind, data):
    tokenizer, encoder, table = made[kind]
    ids = data.draw(st.lists(st.integers(0, encoder.vocab_size - 1), max_size=20))
    stream = StreamDecoder(table)
    text = "".join(map(stream.push, ids)) + stream.flush()
    assert text == decode(table, ids) == b"".join(table[i] for i in ids).decode("utf-8", "replace")
    plain = [i for i in ids if i not in (encoder.boundary_id, encoder.unknown_id)]
    assert decode(table, plain) == tokenizer.decode(plain)


def test_text_comes_when_its_bytes_are_complete(made):
    _, encoder, table = made["byte"]
    stream = StreamDecoder(table)
    assert [stream.push(i) for i in encoder.encode("aé🙂").tolist()] == ["a", "", "é", "", "", "", "🙂"]
    assert stream.push(0xF0) == ""
    assert stream.flush() == "\ufffd"
    assert stream.push(encoder.boundary_id) == ""
    assert stream.push(0x61) == "a"


def test_what_unknown_and_boundary_look_like(made):
    _, encoder, table = made["char"]
    assert table[encoder.unknown_id].decode() == "\ufffd"
    assert table[encoder.boundary_id] == b""


# --- files and mistakes ---


def test_the_file_is_plain_hugging_face_json(tmp_path):
    save(train("char", 0, ["ab"]), tmp_path / "tokenizer.json")
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("ba").ids == [3, 2]
    parts = json.loads((tmp_path / "tokenizer.json").read_text())
    assert parts["model"]["type"] == "WordLevel"
    assert parts["added_tokens"] == []


def test_a_missing_or_damaged_file(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*tokenizer\.json; make it with: llmkit prepare"):
        load(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "mod')
    with pytest.raises(InputError, match=r"is no tokenizer\.json"):
        load(tmp_path / "tokenizer.json")


def test_a_vocabulary_too_small():
    check_vocab_size("bpe", 257)
    check_vocab_size("char", 2)
    for kind in ("bpe", "word"):
        with pytest.raises(ConfigError, match=rf"vocab_size: a {kind} vocabulary has at least"):
            check_vocab_size(kind, 2)


def broken(kind, change):
    """tokenizer.json of a kind with something changed, as bytes."""
    data = json.loads(module.train(kind, 300, ["the quick fox"]).to_str())
    change(data)
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("char", lambda data: data["model"]["vocab"].update(q=500), "the ids of its tokens do not go from 0 on"),
        ("char", lambda data: data["model"]["vocab"].update(q=1), "the ids of its tokens do not go from 0 on"),
        (
            "char",
            lambda data: data["model"]["vocab"].update({"<|x|>": data["model"]["vocab"].pop("<|endoftext|>")}),
            "no token",
        ),
        ("word", lambda data: data["pre_tokenizer"].update(pattern={"Regex": "("}), "is no tokenizer.json"),
        ("byte", lambda data: data["model"]["vocab"].update(a=98, b=97), "the ids of its bytes are not their values"),
        ("bpe", lambda data: data["model"]["vocab"].update({"語": 257}), "it has tokens that are no bytes"),
        ("char", lambda data: data.update(pre_tokenizer=None, normalizer=None, model={"type": "WordLevel"}), "is no"),
    ],
)
def test_a_tokenizer_of_somebody_else(tmp_path, kind, change, says):
    (tmp_path / "tokenizer.json").write_bytes(broken(kind, change))
    with pytest.raises(InputError, match=rf"tokenizer\.json is no tokenizer\.json .*{says}|{says}"):
        module.load(tmp_path / "tokenizer.json")


def test_pieces_that_a_vocabulary_lacks():
    characters = module.Encoder(module.train("char", 0, ["the fox"]))
    assert characters.unknown_pieces("the Zoo, the tax") == [",", "Z", "a"]
    words = module.Encoder(module.train("word", 100, ["the fox runs"]))
    assert words.unknown_pieces("the fox  sleeps,") == [",", "sleeps"]
    assert module.Encoder(module.train("byte", 0, [])).unknown_pieces("Ü") == []
