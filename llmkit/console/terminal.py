"""Text on its way out, to a terminal or a file: the one place that prints, and that makes control characters harmless.

Names, labels, headings, texts and the messages of other libraries come from files; on a terminal, control characters in
them could move the cursor, hide what stands there or type for the user. They are shown as the escapes of JSON,
so that a JSON text stays one. What people read (`show`, `complain`) is cleaned wherever it goes, data (`write`) where
that is a terminal.
"""

import sys
import unicodedata

KEPT = "\n\t"
# What turns the direction of the text behind it (Boucher and Anderson, "Trojan Source", arXiv 2111.00169).
TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
HIDDEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of surrogate pairs, other line ends


def clean(text: str) -> str:
    """The text with its control characters as escapes; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(_escaped(character) if _moves(character) else character for character in text)


def line(text: str) -> str:
    """The same of a text that is to stay on one line, as a cell of a table is."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def show(text: str = "") -> None:
    """Print what people read, on standard output."""
    print(clean(text))


def write(text: str, end: str = "\n") -> None:
    """Print data on standard output: as it is, but for control characters on a terminal."""
    sys.stdout.write((clean(text) if sys.stdout.isatty() else text) + end)


def complain(text: str) -> None:
    """Print a message on standard error, at once."""
    print(clean(text), file=sys.stderr, flush=True)


def flush() -> None:
    """What was printed on standard output is out."""
    sys.stdout.flush()


def _moves(character: str) -> bool:
    if character in KEPT:
        return False
    return unicodedata.category(character) in HIDDEN or ord(character) in TURNING


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"
