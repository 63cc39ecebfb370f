"""Tokenizers: text to token ids and back.

In: pieces of the training text. Out: a `tokenizers.Tokenizer`, saved as Hugging Face `tokenizer.json`, which
any program can use; and `Encoder`, which gives the same ids many times faster. Four kinds:

- char: a token for every Unicode character of the training text; `<unk>` for others.
- byte: a token for every UTF-8 byte, its id the byte's value. Nothing is unknown.
- word: the most frequent words, marks, numbers and line ends, each with the space before it; `<unk>` for
  others. Before that, a run of blanks becomes one space and blanks at line ends go: `decode` gives that text.
- bpe: byte-level byte-pair encoding (Sennrich et al. 2016, bytes as in GPT-2). Nothing is unknown.

`<|endoftext|>`, the boundary before each document, is in every vocabulary. Neither it nor `<unk>` is
registered as a special token: a text that holds these very strings is encoded like any other text.

Needs numpy and tokenizers only. Left out: files and splits, a task's affair.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
MOST_TOKENS = 1_000_000 + 2  # as many as a config may ask for, and the two of its own

BOUNDARY = "<|endoftext|>"
UNKNOWN = "<unk>"

# What an encoder remembers of the texts it has seen: at most so many words, about 250 bytes each, and none
# that are so long that they will hardly come again (a line of Chinese has no spaces).
CACHED_ENTRIES = 200_000
CACHED_CHARACTERS = 48

# Classes of characters, spelt out so that Python's `re` and the engine of `tokenizers` agree on them: \w, \s
# and \p differ between the two and between versions of Unicode. What is in none of them is a letter, of any
# script.
BLANK = "\t\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # besides the space
MARK = (
    "\0-\x08\x0e-\x1f!-/:-@\\[-`{-\x7f"  # ASCII
    "\x80-\x84\x86-\x9f\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"  # Latin-1, without ª µ º
    "\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u206f\u2190-\u2bff\u3001-\u303f\uff00-\uff0f"
)
# Chinese characters and kana, written without spaces between words.
UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
LETTER = f"[^ \n\r0-9{BLANK}{MARK}{UNSPACED}]"


def _pattern(unspaced_run: int) -> str:
    """Cuts text into pieces, each with the one space before it; every character is in exactly one piece.

    No piece holds a line end and something else, nor a space after something else: `safe_cut` counts on it.
    Runs are bounded, so that a file without spaces does not become one piece.
    """
    return (
        f" ?{LETTER}{{1,32}}"
        f"|['’](?:[sdmt]|ll|ve|re)(?!{LETTER})"  # it's, don't; but 'tis is a mark and a word
        f"| ?[{MARK}]{{1,16}}"
        "| ?[0-9]{1,3}"
        f"| ?[{UNSPACED}]{{1,{unspaced_run}}}"
        "|[\n\r]{1,16}"
        "| {1,16}(?= )| "  # of several spaces the last one goes with the word
        f"|[{BLANK}]{{1,16}}"
    )


PATTERNS = {"bpe": _pattern(16), "word": _pattern(1)}


def _byte_characters() -> list[str]:
    """The printable character for each byte in a byte-level vocabulary (GPT-2's `bytes_to_unicode`)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [shifted.get(byte, chr(byte)) for byte in range(256)]


BYTE_CHARACTERS = _byte_characters()
TO_BYTE_CHARACTERS = str.maketrans(dict(enumerate(BYTE_CHARACTERS)))


# --- train, save, load --------------------------------------------------------------------------------------


def train(kind: str, vocab_size: int, pieces: Iterable[str]) -> "Tokenizer":
    """A tokenizer of this kind for this text; `vocab_size` limits word and bpe, special entries included."""
    if kind == "char":
        return _char_tokenizer(pieces)
    if kind == "byte":
        return _byte_tokenizer()
    if kind == "word":
        return _word_tokenizer(vocab_size, pieces)
    return _bpe_tokenizer(vocab_size, pieces)


def check_vocab_size(kind: str, vocab_size: int) -> None:
    """Refuse a vocabulary that has no room for what it must hold."""
    least = {"bpe": 257, "word": 3}.get(kind, 0)
    if vocab_size < least:
        raise ConfigError(
            f"prepare.tokenizer.vocab_size: a {kind} vocabulary has at least {least} tokens, not {vocab_size}"
        )


def _char_tokenizer(pieces: Iterable[str]) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    seen = np.zeros(0x110000, dtype=bool)
    for batch in _batches(pieces):
        seen[_code_points("".join(batch))] = True
    tokens = [BOUNDARY, UNKNOWN, *map(chr, np.flatnonzero(seen).tolist())]
    tokenizer = Tokenizer(models.WordLevel(_numbered(tokens), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _batches(pieces: Iterable[str], characters: int = 1 << 16) -> Iterator[list[str]]:
    """Lists of pieces, together about so long: a million short documents are not looked at one by one."""
    batch: list[str] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= characters:
            yield batch
            batch, size = [], 0
    yield batch


def _byte_tokenizer() -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(_numbered([*BYTE_CHARACTERS, BOUNDARY]), []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _word_tokenizer(vocab_size: int, pieces: Iterable[str]) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    counts: Counter[str] = Counter()
    find = re.compile(PATTERNS["word"]).findall
    for piece in pieces:
        counts.update(find(_squeeze(piece)))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = [BOUNDARY, UNKNOWN, *words[: vocab_size - 2]]
    tokenizer = Tokenizer(models.WordLevel(_numbered(tokens), unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(f"[ {BLANK}]+"), " "), normalizers.Replace(" \n", "\n")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERNS["word"]), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


OTHER_BLANK = re.compile(f"[{BLANK}]")


def _squeeze(text: str) -> str:
    """What the normalizer of a word tokenizer does."""
    text = OTHER_BLANK.sub(" ", text)
    while "  " in text:
        text = text.replace("  ", " ")
    return text.replace(" \n", "\n")


def _bpe_tokenizer(vocab_size: int, pieces: Iterable[str]) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS["bpe"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces, trainer)
    # Given to the trainer, the boundary would be registered as special. As a plain entry that no merge makes
    # it is never found in a text.
    model = json.loads(tokenizer.to_str())["model"]
    vocab = {**model["vocab"], BOUNDARY: len(model["vocab"])}
    tokenizer.model = models.BPE(vocab, [tuple(merge) for merge in model["merges"]])
    return tokenizer


def _numbered(tokens: Sequence[str]) -> dict[str, int]:
    return {token: i for i, token in enumerate(tokens)}


def distinct_share(texts: Iterable[str]) -> float:
    """Bytes in different pieces of these texts by bytes in all: 0.1 for 1 MB of English, near 1 for DNA.

    What the training of bpe holds in memory grows with the different pieces, not with the text.
    """
    total = 0
    different: set[str] = set()
    for text in texts:
        total += len(text.encode("utf-8", "replace"))
        different.update(re.findall(PATTERNS["bpe"], text))
    return sum(len(piece.encode("utf-8", "replace")) for piece in different) / max(total, 1)


def save(tokenizer: "Tokenizer", path: Path) -> None:
    """Write `tokenizer.json`."""
    new_files.write_text(path, tokenizer.to_str(pretty=True))


def load(path: Path) -> "Tokenizer":
    """The tokenizer in a file. Raises InputError."""
    if not path.is_file():
        raise InputError(f"there is no {path}; make it with: llmkit prepare CONFIG")
    return from_bytes(path.read_bytes(), path)


def of_folder(folder: Files) -> "Tokenizer":
    """The tokenizer of a prepared folder or of a model folder. Raises InputError."""
    return from_bytes(folder.read_bytes(FILE), folder.path / FILE)


def from_bytes(data: bytes, path: Path) -> "Tokenizer":
    """The tokenizer in the bytes of a file, which `path` names in messages. Raises InputError."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(data)
        _check(tokenizer)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # tokenizers raises nothing more precise; where Rust panics it is no Exception
        raise InputError(f"{path} is no tokenizer.json ({error}); make it again with: llmkit prepare CONFIG") from error
    return tokenizer


def _check(tokenizer: "Tokenizer") -> None:
    """Raise ValueError for a tokenizer that is none of the four kinds, or has no whole vocabulary."""
    vocab = tokenizer.get_vocab()
    if len(vocab) > MOST_TOKENS:
        raise ValueError(f"{len(vocab):,} tokens, {MOST_TOKENS:,} are the most")
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError("the ids of its tokens do not go from 0 on, each once")
    try:
        kind = kind_of(tokenizer)
    except (KeyError, TypeError) as error:
        raise ValueError("of no kind that llmkit makes") from error
    needed = [BOUNDARY, *BYTE_CHARACTERS] if kind in ("byte", "bpe") else [BOUNDARY, UNKNOWN]
    for token in needed:
        if token not in vocab:
            raise ValueError(f"it has no token {token!r}")
    if kind == "byte" and (len(vocab) != 257 or any(vocab[token] != i for i, token in enumerate(BYTE_CHARACTERS))):
        raise ValueError("the ids of its bytes are not their values")
    if kind == "bpe":
        known = set(BYTE_CHARACTERS)
        if not all(known.issuperset(token) for token in vocab if token != BOUNDARY):
            raise ValueError("it has tokens that are no bytes")


def kind_of(tokenizer: "Tokenizer") -> str:
    """char, byte, word or bpe."""
    parts: Json = json.loads(tokenizer.to_str())
    if parts["model"]["type"] == "BPE":
        return "bpe" if parts["pre_tokenizer"]["type"] == "Sequence" else "byte"
    return "word" if parts["normalizer"] else "char"


# --- encode -------------------------------------------------------------------------------------------------


class Encoder:
    """Text to ids, the same as `tokenizer.encode(text).ids`, at tens of megabytes a second.

    `kind`, `vocab_size`, `boundary_id`, `unknown_id` (None where nothing is unknown) and `dtype`, the
    smallest unsigned integer that holds every id.
    """

    def __init__(self, tokenizer: "Tokenizer"):
        vocab = tokenizer.get_vocab()
        self.kind = kind_of(tokenizer)
        self.vocab_size = len(vocab)
        self.boundary_id = vocab[BOUNDARY]
        self.unknown_id = vocab.get(UNKNOWN) if self.kind in ("char", "word") else None
        self.dtype = smallest_dtype(self.vocab_size)
        encoders: dict[str, Callable[..., Callable[[str], np.ndarray]]] = {
            "char": _encode_characters,
            "byte": _encode_bytes,
            "word": _encode_words,
            "bpe": _encode_bpe,
        }
        self._vocab = vocab
        self._encode = encoders[self.kind](tokenizer, vocab, self.dtype)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the text, shape (tokens,), without a boundary. Do not write to the array."""
        return self._encode(text)

    def unknown_pieces(self, text: str) -> list[str]:
        """The different pieces of a text that the vocabulary lacks, sorted: characters, or words without their space.

        (By this module's own pattern: the one in a tokenizer.json from elsewhere might never end.)
        """
        if self.unknown_id is None:
            return []
        pieces = text if self.kind == "char" else re.findall(PATTERNS["word"], _squeeze(text))
        return sorted({piece if self.kind == "char" else piece.strip() for piece in pieces if piece not in self._vocab})

    def count_unknown(self, ids: np.ndarray) -> int:
        """How many of the ids stand for something outside the vocabulary."""
        return 0 if self.unknown_id is None else int(np.count_nonzero(ids == self.unknown_id))


def smallest_dtype(vocab_size: int) -> np.dtype:
    """The smallest unsigned type for ids below `vocab_size`, little-endian on every machine."""
    return np.dtype("u1" if vocab_size <= 1 << 8 else "<u2" if vocab_size <= 1 << 16 else "<u4")


def _code_points(text: str) -> np.ndarray:
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _encode_characters(tokenizer: "Tokenizer", vocab: dict[str, int], dtype: np.dtype) -> Callable[[str], np.ndarray]:
    table = np.full(0x110000, vocab[UNKNOWN], dtype)  # code point -> id
    for token, i in vocab.items():
        if len(token) == 1:
            table[ord(token)] = i
    return lambda text: table[_code_points(text)]


def _encode_bytes(tokenizer: "Tokenizer", vocab: dict[str, int], dtype: np.dtype) -> Callable[[str], np.ndarray]:
    return lambda text: np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(dtype)


def _encode_words(tokenizer: "Tokenizer", vocab: dict[str, int], dtype: np.dtype) -> Callable[[str], np.ndarray]:
    id_bytes = _id_bytes(dtype, len(vocab))
    unknown = vocab[UNKNOWN]
    encode = _encode_pieces("word", lambda piece: id_bytes[vocab.get(piece, unknown)], dtype)
    return lambda text: encode(_squeeze(text))


def _encode_bpe(tokenizer: "Tokenizer", vocab: dict[str, int], dtype: np.dtype) -> Callable[[str], np.ndarray]:
    id_bytes = _id_bytes(dtype, len(vocab))
    model = tokenizer.model

    def ids_of(piece: str) -> bytes:
        characters = piece.encode("utf-8", "replace").decode("latin-1").translate(TO_BYTE_CHARACTERS)
        return b"".join([id_bytes[token.id] for token in model.tokenize(characters)])

    return _encode_pieces("bpe", ids_of, dtype)


def _id_bytes(dtype: np.dtype, vocab_size: int) -> list[bytes]:
    return [i.to_bytes(dtype.itemsize, "little") for i in range(vocab_size)]


def _encode_pieces(kind: str, ids_of: Callable[[str], bytes], dtype: np.dtype) -> Callable[[str], np.ndarray]:
    """Encode by look-up: what stands between two spaces is looked up whole, else cut up by the pattern.

    Ids are kept as bytes, so that one join of look-ups is the array: 25 MB/s, not 15 by the pattern alone.
    """
    find = re.compile(PATTERNS[kind]).findall
    split_at_last_spaces = re.compile(" (?! )").split
    pieces = _Table(ids_of)

    def by_pieces(chunk: str) -> bytes:
        # A space follows each chunk but the last, where it changes nothing: only spaces look at a space.
        return b"".join(map(pieces.__getitem__, find(chunk + " ")[:-1]))

    chunks = _Table(lambda chunk: by_pieces(" " + chunk))

    def encode(text: str) -> np.ndarray:
        # Of three or more spaces all but the last are one piece, so they have to stay together.
        first, *rest = split_at_last_spaces(text) if "   " in text else text.split(" ")
        return np.frombuffer(by_pieces(first) + b"".join(map(chunks.__getitem__, rest)), dtype)

    return encode


class _Table(dict[str, bytes]):
    """Text -> its ids as bytes, computed at the first look-up."""

    def __init__(self, encode: Callable[[str], bytes]):
        self._encode = encode

    def __missing__(self, text: str) -> bytes:
        ids = self._encode(text)
        if len(text) <= CACHED_CHARACTERS:
            if len(self) >= CACHED_ENTRIES:
                self.clear()  # simple and rare: the frequent ones are back within a few thousand words
            self[text] = ids
        return ids


def safe_cut(text: str) -> int:
    """The last position where the text can be cut so that its parts encode to the ids of the whole, or 0.

    That is before a space that follows no white space, or after a line end that none follows (`_pattern`).
    """
    space = text.rfind(" ")
    while space > 0 and text[space - 1].isspace():
        space = text.rfind(" ", 0, space)
    line = text.rfind("\n") + 1
    while line > 0 and (line == len(text) or text[line].isspace()):
        line = text.rfind("\n", 0, line - 1) + 1
    return max(space, line, 0)


# --- decode -------------------------------------------------------------------------------------------------


def token_bytes(tokenizer: "Tokenizer") -> list[bytes]:
    """For each id the UTF-8 bytes it stands for: none for the boundary, U+FFFD for `<unk>`."""
    vocab = tokenizer.get_vocab()
    byte_level = kind_of(tokenizer) in ("byte", "bpe")
    to_byte = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}
    table = [b""] * len(vocab)
    for token, i in vocab.items():
        if token == BOUNDARY:
            continue
        if byte_level:
            table[i] = bytes(to_byte[character] for character in token)
        else:
            table[i] = ("\ufffd" if token == UNKNOWN else token).encode()
    return table


def decode(table: Sequence[bytes], ids: Iterable[int]) -> str:
    """The text of the ids; `table` comes from `token_bytes`. Bytes that are no UTF-8 become U+FFFD."""
    return b"".join([table[i] for i in ids]).decode("utf-8", "replace")


class StreamDecoder:
    """Text token by token: `push` returns what is complete, `flush` the rest, U+FFFD for what is broken."""

    def __init__(self, table: Sequence[bytes]):
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes, often one token's, sometimes none."""
        return self._decoder.decode(self._table[token_id])

    def flush(self) -> str:
        """What was held back; afterwards the decoder is as new."""
        return self._decoder.decode(b"", True)
