"""Files at rest in the age format (https://age-encryption.org/v1): to whom a folder is written, and how it is read.

In: the recipients (`age1…`) of a folder, said once by `protect`; whatever llmkit then writes below it is encrypted to
all of them, by whichever module writes it. Out: plain bytes in memory, for whoever has an identity: the file that the
environment variable LLMKIT_IDENTITY_FILE names. Left out: who wrote a file. age does not tell.

Which folders are protected is a fact of the process, not of a call: a writer that forgot to hand it on would leave
plain bytes on a disk. Needs the package pyrage, which is imported where a key is used.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigError, InputError, NoKey

if TYPE_CHECKING:
    from types import ModuleType

MAGIC = b"age-encryption.org/v1\n"
IDENTITY_FILE = "LLMKIT_IDENTITY_FILE"
SECRET = "AGE-SECRET-KEY-1"
PUBLIC = re.compile("age1[02-9ac-hj-np-z]{58}")  # Bech32; its checksum is pyrage's affair

_protected: dict[str, tuple[str, ...]] = {}
"""Folder, links resolved -> its recipients."""


# --- to whom --------------------------------------------------------------------------------------------------------


def protect(folder: Path, recipients: Iterable[str]) -> None:
    """From now on encrypt what is written below a folder to these recipients; none of them: to nobody.

    Raises ConfigError for one that is no public key, and where pyrage is missing.
    """
    known = tuple(sorted(set(recipients)))
    _parsed(known)
    if known:
        _protected[os.path.realpath(folder)] = known
    else:
        _protected.pop(os.path.realpath(folder), None)


def recipients_of(path: Path) -> tuple[str, ...]:
    """The recipients of what is written at a path, sorted: those of the nearest protected folder; () for plain."""
    if not _protected:
        return ()
    place = os.path.realpath(path)
    while place not in _protected:
        place, below = os.path.dirname(place), place
        if place == below:
            return ()
    return _protected[place]


def of_file(path: Path) -> list[str]:
    """The recipients that a file lists, one a line; # begins a comment. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the recipients in {path}: {getattr(error, 'strerror', error)}") from error
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise InputError(f"{path} names no recipient; write one public key (age1…) a line")
    return found


def sealed(path: Path, data: bytes) -> bytes:
    """What to write at a path in place of plain bytes: the same where it is not protected."""
    recipients = recipients_of(path)
    return encrypt(data, recipients) if recipients else data


def encrypt(data: bytes, recipients: Iterable[str]) -> bytes:
    """An age file of these bytes, which any one of the recipients can read."""
    made: bytes = _pyrage().encrypt(data, _parsed(recipients))
    return made


def _parsed(recipients: Iterable[str]) -> list[Any]:
    found = []
    for recipient in recipients:
        pyrage = _pyrage()
        if recipient.startswith(SECRET):  # not repeated: it would land in logs
            raise ConfigError("encryption: a secret key stands among the recipients; name its public key, age1…")
        try:
            found.append(pyrage.x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError as error:
            raise ConfigError(f"encryption: {recipient[:80]!r} is no public key of age (age1…)") from error
    return found


# --- for whom -------------------------------------------------------------------------------------------------------


def is_sealed(head: bytes) -> bool:
    """Whether a file that begins so is an age file."""
    return head.startswith(MAGIC)


def decrypt(data: bytes, path: Path) -> bytes:
    """The plain bytes of the age file at a path. Raises NoKey."""
    pyrage, identities, file = _pyrage(), *_identities(path)
    try:
        plain: bytes = pyrage.decrypt(data, identities)
    except pyrage.DecryptError as error:
        raise NoKey(
            f"{path} does not open with the identity in {file} ({str(error).rstrip('.').lower()}); name one of its "
            "recipients with --identity FILE, or copy the file anew"
        ) from error
    return plain


def use_identity(file: Path) -> None:
    """Read with the identity in a file, in this process and those that it starts."""
    os.environ[IDENTITY_FILE] = str(file)


def _identities(path: Path) -> tuple[list[Any], str]:
    """(the identities, the name of their file). Raises NoKey where there is none."""
    file = os.environ.get(IDENTITY_FILE, "")
    if not file:
        raise NoKey(f"{path} is encrypted; name your identity with --identity FILE or {IDENTITY_FILE}")
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NoKey(f"cannot read the identity in {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NoKey(f"{file} holds no identity of age ({SECRET}…)") from error
    pyrage = _pyrage()
    try:
        found = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines if line.strip().startswith(SECRET)]
    except pyrage.IdentityError as error:
        raise NoKey(f"{file} holds a damaged identity of age") from error
    if not found:
        raise NoKey(f"{file} holds no identity of age ({SECRET}…)")
    return found, file


def new_identity(file: Path) -> str:
    """Make a key: its secret part into a new file that its owner alone reads; returns the recipient, age1….

    Raises InputError where there is such a file.
    """
    made = _pyrage().x25519.Identity.generate()
    recipient = str(made.to_public())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file} exists already; a key is never overwritten: choose another name") from error
    except OSError as error:
        raise InputError(f"{file} was not written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(f"# public key: {recipient}\n{made}\n")
        out.flush()
        os.fsync(out.fileno())
    return recipient


def _pyrage() -> "ModuleType":
    try:
        import pyrage
    except ModuleNotFoundError as error:
        raise ConfigError(
            "encryption needs pyrage; install it with: pip install '.[encrypt]' in llmkit's own folder"
        ) from error
    module: ModuleType = pyrage
    return module
