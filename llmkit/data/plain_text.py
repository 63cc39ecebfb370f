"""One spelling for texts that print alike: whoever types é as one character or as two means the same.

In: a text or a label from a file, a prompt or a program. Out: the same in Unicode's composed form (NFC), lines ended by
a line feed, without a byte order mark. Applied alike to what is learnt from and to what is asked.
"""

import unicodedata

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def normal(text: str) -> str:
    """The text in its one spelling; plain ASCII stays as it is but for line ends."""
    if text.isascii():
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    text = text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text)


def is_text(text: str) -> bool:
    """Whether a text holds characters alone, no half of a surrogate pair: what bytes become that are not UTF-8."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
