r"""Cleaning: named steps, applied to a document in the order in which the config lists them.

    clean: markdown                                       # a preset
    clean: [standard, lowercase, {keep: "a-z "}]          # presets and steps, with parameters where wanted

A document enters as an iterator of pieces of text that may end anywhere and leaves as one; the result does
not depend on where the pieces end. A step is a function that takes its parameter, checks it, and returns a
function from pieces to pieces; its docstring says what it does, its signature holds the default parameter.

Left out: `drop_duplicates: documents` looks at whole documents, so whoever gathers them does it when all are read.
"""

import difflib
import hashlib
import inspect
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from llmkit.data.decoding import lines
from llmkit.data.masking import MASKS, masked
from llmkit.errors import ConfigError
from llmkit.plain import Json

Step = Callable[[Iterable[str]], Iterator[str]]
Clean = str | list[str | Json]  # what the config may say

GATHER_CHARACTERS = 1 << 16  # steps that work by line hand on pieces of at least this length


def unicode(form: str = "NFC") -> Step:
    """Bring characters to one Unicode form, so that é is the same whether typed as one character or two."""
    if form not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise ConfigError(f"prepare.clean: unicode must be NFC, NFD, NFKC or NFKD, not {form!r}")

    def step(pieces: Iterable[str]) -> Iterator[str]:
        for text in _recut(pieces, _last_fresh):
            yield unicodedata.normalize(form, text)  # type: ignore[arg-type]

    return step


# Characters that no form joins with what stands before them: ASCII, kana, Chinese and Korean syllables.
FRESH = re.compile("[\0-\x7f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]")


def _last_fresh(text: str) -> int:
    return next((i for i in range(len(text) - 1, 0, -1) if FRESH.match(text[i])), 0)


def line_ends() -> Step:
    r"""Write every line end as \n, whether it was \r\n (Windows) or \r (old Macintosh)."""

    def step(pieces: Iterable[str]) -> Iterator[str]:
        for text in _recut(pieces, lambda held: len(held) - held.endswith("\r")):
            yield text.replace("\r\n", "\n").replace("\r", "\n")

    return step


def _recut(pieces: Iterable[str], last_cut: Callable[[str], int]) -> Iterator[str]:
    """The same text in pieces that end where `last_cut` allows it (0: nowhere in this text)."""
    held = ""
    for piece in pieces:
        cut = last_cut(held)
        if cut:
            yield held[:cut]
        held = held[cut:] + piece
    if held:
        yield held


def lowercase() -> Step:
    """Make all letters small. Capital sigma always becomes σ, for ς would depend on the letters around it."""

    def step(pieces: Iterable[str]) -> Iterator[str]:
        for piece in pieces:
            yield piece.replace("Σ", "σ").lower()

    return step


OTHER_BLANK = re.compile("[\t\x0b\x0c\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def squeeze_space() -> Step:
    """One space for every run of blanks, none at the end of a line, and at most one empty line in a row.

    Indentation becomes one space, so this is not for code.
    """

    def squeeze(text: str) -> str:
        text = OTHER_BLANK.sub(" ", text)
        while "  " in text:  # a few passes, each ten times faster than a pattern that looks at every space
            text = text.replace("  ", " ")
        return re.sub("\n{3,}", "\n\n", text.replace(" \n", "\n"))

    def step(pieces: Iterable[str]) -> Iterator[str]:
        held = ""  # the white space at the end: what follows may still change it
        for piece in pieces:
            text = squeeze(held + piece)
            body = text.rstrip(" \n")
            held = text[len(body) :]
            yield body
        yield held.rstrip(" ")

    return step


def keep(characters: str = "a-z ") -> Step:
    r"""Keep only these characters, written as in a regular expression's [class]: "a-zA-Z0-9 .,\n".

    If a space is among them, a run of others becomes one space, runs of spaces become one, and a document
    has none at its ends: "Don't stop" -> "on t stop" for "a-z " (put `lowercase` before it). Otherwise they
    vanish.
    """
    try:
        inside = re.sub(r"\\.|[\[\]]", lambda found: found[0] if len(found[0]) > 1 else "\\" + found[0], characters)
        others = re.compile(f"[^{inside}]+")
    except (re.error, TypeError) as error:
        raise ConfigError(f"prepare.clean: keep: {characters!r} is no set of characters ({error})") from error
    if others.search(" "):
        return lambda pieces: (others.sub("", piece) for piece in pieces)

    def step(pieces: Iterable[str]) -> Iterator[str]:
        held = ""  # a space is handed on when a character follows
        begun = False
        for piece in pieces:
            text = re.sub(" {2,}", " ", others.sub(" ", held + piece))
            body = text.rstrip(" ")
            held = text[len(body) :]
            yield body if begun else body.lstrip(" ")
            begun = begun or bool(body)

    return step


def drop_duplicates(of: str = "documents") -> Step:
    """Drop what was there before, exactly the same: cleaned `documents`, or `lines` of the whole corpus.

    Empty lines stay. Lines cost about 100 bytes of memory for each different one.
    """
    if of not in ("documents", "lines"):
        raise ConfigError(f"prepare.clean: drop_duplicates must be documents or lines, not {of!r}")
    if of == "documents":
        return iter  # whoever gathers the documents does it, see drops_documents
    seen: set[bytes] = set()

    def new_lines(pieces: Iterable[str]) -> Iterator[str]:
        for line in lines(pieces):
            text = line.removesuffix("\n")
            digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
            if digest not in seen or not text:
                seen.add(digest)
                yield line

    return lambda pieces: _gather(new_lines(pieces))


def mask(kinds: str | list[str] = list(MASKS), counts: dict[str, int] | None = None) -> Step:  # noqa: B006
    """Write <email>, <phone>, <number> in place of what looks like one (`masking`): what the list names.

    `counts` gets how often each stood there.
    """
    wanted = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(wanted, list) or not wanted or any(kind not in MASKS for kind in wanted):
        raise ConfigError(f"prepare.clean: mask takes a list of {', '.join(MASKS)}, not {kinds!r}")
    return partial(masked, kinds=wanted, counts=counts)


def drops_documents(clean: Clean) -> bool:
    """Whether the config asks for each different document once."""
    return any(name == "drop_duplicates" and parameter in ((), ("documents",)) for name, parameter in parse(clean))


def _gather(pieces: Iterable[str]) -> Iterator[str]:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= GATHER_CHARACTERS:
            yield "".join(parts)
            parts, size = [], 0
    if parts:
        yield "".join(parts)


MARKDOWN_LINES = 200  # a paragraph is looked at in blocks of at most this many lines
EMPHASIS_CHARACTERS = 2000  # between two marks: bounds the search for the second
FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
PROTECTED = re.compile(r"\\([!-/:-@\[-`{-~])|(?<!`)(`+)(?!`)(.{1,2000}?)(?<!`)\2(?!`)|(\0)", re.DOTALL)


def _heading(match: re.Match[str]) -> str:
    """The text of a heading, without marks that close it."""
    text = match[1].rstrip(" \t")
    bare = text.rstrip("#")
    return bare.rstrip(" \t") if bare.endswith((" ", "\t")) else text


Replacement = str | Callable[[re.Match[str]], str]
# In this order: a character without which there is no match, the pattern, its replacement. None looks at a run of
# blanks again from each of its places.
MARKED_LINES: list[tuple[str, re.Pattern[str], Replacement]] = [
    (">", re.compile(r"^(?: {0,3}>[ \t]?)+", re.MULTILINE), ""),  # quotation
    ("", re.compile(r"^ {0,3}(?:([-*_])(?:[ \t]*\1){2,}|={3,})[ \t]*$", re.MULTILINE), ""),  # rule, underline
    ("#", re.compile(r"^ {0,3}#{1,6}[ \t]+(.*)$", re.MULTILINE), _heading),
    ("", re.compile(r"^([ \t]*)[*+-][ \t]+(?=\S)", re.MULTILINE), r"\1- "),  # list
    ("\n", re.compile(r"(?:(?<![ \t])[ \t]++|\\)\n"), "\n"),  # blanks at the end, line break
]


def _emphasis(mark: str, least: int) -> re.Pattern[str]:
    # A mark opens after a non-word and before a non-blank, and closes the other way round: snake_case and
    # 2*3*4 stay. The two need not be equally long, for people write __this_.
    m = re.escape(mark)
    return re.compile(
        rf"(?<![\w{m}]){m}{{{least},3}}(?=[^\s{m}])(.{{1,{EMPHASIS_CHARACTERS}}}?)(?<=[^\s{m}]){m}{{{least},3}}(?![\w{m}])",
        re.DOTALL,
    )


MARKED_SPANS = [  # a character without which there is no match, the pattern, whose group 1 stays
    (
        "](",  # [text](address "title")
        re.compile(
            r"!?\[([^\[\]]*)\]\((?:<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)"
            r"""(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)"""
        ),
    ),
    ("*", _emphasis("*", 1)),
    ("_", _emphasis("_", 1)),
    ("~~", _emphasis("~", 2)),
    ("<", re.compile(r"<((?:https?|ftp|mailto):[^<>\s]+)>")),
]


def strip_markdown() -> Step:
    """Take the marks of Markdown away and leave the text.

    `# Hamlet` -> `Hamlet`, `**HAMLET**` and two blanks -> `HAMLET`, `_Exit_` -> `Exit`, `[text](address)` ->
    `text`. Quotation marks `>`, code marks and fences go, list marks become `- `, escapes as `1\\. May` are
    resolved. What stands inside code stays as it is; so do tables, HTML and links by reference.
    """

    def blocks(pieces: Iterable[str]) -> Iterator[str]:
        block: list[str] = []
        fence = ""  # the mark that opened the code we are in
        for line in lines(pieces):
            mark = FENCE.match(line)
            if fence:
                if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                    fence = ""
                else:
                    yield line
                continue
            if not mark:
                block.append(line)
            if mark or not line.strip() or len(block) == MARKDOWN_LINES:
                yield _strip_block("".join(block))
                block = []
            if mark:
                fence = mark[1]
        yield _strip_block("".join(block))

    return lambda pieces: _gather(blocks(pieces))


def _strip_block(text: str) -> str:
    protected: list[str] = []  # escaped characters and code, put aside while marks are taken away

    def put_aside(match: re.Match[str]) -> str:
        escaped, _, code, nul = match.groups()
        protected.append(escaped or nul or code.strip(" ") or code)
        return f"\0{len(protected) - 1}\0"

    if "\\" in text or "`" in text or "\0" in text:
        text = PROTECTED.sub(put_aside, text)
    for character, pattern, replacement in MARKED_LINES:
        if character in text:
            text = pattern.sub(replacement, text)
    for character, pattern in [
        *MARKED_SPANS,
        *MARKED_SPANS,
    ]:  # twice: an image in a link, _a word_ in **bold**
        if character in text:
            text = pattern.sub(r"\1", text)
    return re.sub("\0(\\d+)\0", lambda match: protected[int(match[1])], text) if protected else text


STEPS: dict[str, Callable[..., Step]] = {
    "unicode": unicode,
    "line_ends": line_ends,
    "strip_markdown": strip_markdown,
    "lowercase": lowercase,
    "squeeze_space": squeeze_space,
    "keep": keep,
    "mask": mask,
    "drop_duplicates": drop_duplicates,
}

TAKING_AWAY = ("drop_duplicates", "mask")  # the steps that look at what a text says, not at how it is spelt

PRESETS: dict[str, list[str | Json]] = {
    "none": [],
    # Changes how characters are stored, never what is written: safe for verse and code.
    "standard": ["unicode", "line_ends"],
    "markdown": ["unicode", "line_ends", "strip_markdown"],
    # The classic "lower-case letters only".
    "letters": ["unicode", "lowercase", {"keep": "a-z "}],
}


def parse(clean: Clean) -> list[tuple[str, tuple[object, ...]]]:
    """The steps that the config names, presets unfolded: (name, parameters), of which there are 0 or 1."""
    steps: list[tuple[str, tuple[object, ...]]] = []
    for entry in [clean] if isinstance(clean, str) else clean:
        if isinstance(entry, str) and entry in PRESETS:
            steps += parse(PRESETS[entry])
            continue
        if isinstance(entry, dict) and len(entry) != 1:
            raise ConfigError(f"prepare.clean: one step an entry, found {entry}; write - {{name: parameter}}")
        name, *parameter = [entry] if isinstance(entry, str) else next(iter(entry.items()))
        if name not in STEPS:
            close = difflib.get_close_matches(str(name), [*STEPS, *PRESETS], n=1)
            hint = f"did you mean {close[0]}?" if close else f"steps: {', '.join(STEPS)}; presets: {', '.join(PRESETS)}"
            raise ConfigError(f"prepare.clean: there is no step '{name}'; {hint}")
        if parameter and not inspect.signature(STEPS[name]).parameters:
            raise ConfigError(f"prepare.clean: {name} takes no parameter, found {parameter[0]!r}; write - {name}")
        steps.append((name, tuple(parameter)))
    return steps


def build_cleaner(clean: Clean, masked: dict[str, int] | None = None) -> Step:
    """The function that cleans one document after another, pieces in, pieces out. One for each run:
    `drop_duplicates: lines` remembers the lines of the documents before. `masked` gets the counts of `mask`."""
    steps = [
        STEPS[name](*parameter, **({"counts": masked} if name == "mask" else {})) for name, parameter in parse(clean)
    ]

    def cleaner(pieces: Iterable[str]) -> Iterator[str]:
        for step in steps:
            pieces = step(pieces)
        return iter(pieces)

    return cleaner


def clean_text(text: str, clean: Clean) -> str:
    """A whole text, cleaned as a document is."""
    return "".join(build_cleaner(clean)([text]))


def spelt(text: str, clean: Clean) -> str:
    """A whole text as the cleaning spells it, nothing taken away for what it is (`TAKING_AWAY`)."""
    pieces: Iterable[str] = [text]
    for name, parameter in parse(clean):
        if name not in TAKING_AWAY:
            pieces = STEPS[name](*parameter)(pieces)
    return "".join(pieces)


def clean_prompt(text: str, clean: Clean) -> str:
    """A text that a model is to go on from, or to score, in the characters of the documents it learnt from.

    Nothing is dropped for having been there before, and a blank at the end stays: the next word is to follow it.
    """
    text = text.removeprefix("\ufeff")  # byte order mark
    pieces: Iterable[str] = [text]
    for name, parameter in parse(clean):
        if name != "drop_duplicates":
            pieces = STEPS[name](*parameter)(pieces)
    cleaned = "".join(pieces)
    blank = text[-1:].isspace() and cleaned[-1:].strip() and clean_text("a b", clean)[1:2] == " "
    return cleaned + " " if blank else cleaned
