"""Who is written to, who reads, and what everybody else is told."""

import os
import shutil
import stat
import subprocess

import pytest
from hypothesis import given, strategies as st

from llmkit.errors import ConfigError, InputError, NoKey
from llmkit.store import encryption
from llmkit.store.files import Files, read_live

pyrage = pytest.importorskip("pyrage")

OWNER, FRIEND, STRANGER = (pyrage.x25519.Identity.generate() for _ in range(3))


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Files of the three identities; the owner's is the one in use."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name, identity in (("owner", OWNER), ("friend", FRIEND), ("stranger", STRANGER)):
        (folder / name).write_text(f"# a comment\n{identity}\n")
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(folder / "owner"))
    monkeypatch.setattr(encryption, "_protected", {})
    return folder


@given(st.binary(max_size=70_000))
def test_what_is_encrypted_is_an_age_file_for_each_recipient(data):
    made = encryption.encrypt(data, [str(OWNER.to_public()), str(FRIEND.to_public())])
    assert encryption.is_sealed(made)
    assert len(data) < 16 or data not in made[len(encryption.MAGIC) :]
    assert [pyrage.decrypt(made, [identity]) for identity in (OWNER, FRIEND)] == [data, data]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(made, [STRANGER])


def test_the_nearest_protected_folder_says_for_whom(keys, tmp_path):
    run, inner = tmp_path / "run", tmp_path / "run" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "link").symlink_to(run)
    owner, friend = str(OWNER.to_public()), str(FRIEND.to_public())
    assert encryption.recipients_of(inner / "file") == ()
    encryption.protect(run, [friend, owner, owner])
    both = tuple(sorted([owner, friend]))
    assert encryption.recipients_of(inner / "file") == encryption.recipients_of(run) == both
    assert encryption.recipients_of(tmp_path / "link" / "new" / "file") == both  # by whatever name it goes
    assert encryption.recipients_of(tmp_path / "running") == ()
    encryption.protect(inner, [friend])
    assert encryption.recipients_of(inner / "file") == (friend,)
    encryption.protect(run, [])
    assert encryption.recipients_of(run / "file") == ()


def test_a_secret_key_or_nonsense_is_no_recipient_and_is_not_repeated(keys, tmp_path):
    for wrong in ("age1foo", "", str(OWNER.to_public())[:-1] + "b"):
        with pytest.raises(ConfigError, match="is no public key of age"):
            encryption.protect(tmp_path, [wrong])
    with pytest.raises(ConfigError) as caught:
        encryption.protect(tmp_path, [str(OWNER)])
    assert "secret key" in str(caught.value) and str(OWNER)[20:] not in str(caught.value)
    assert encryption.recipients_of(tmp_path / "x") == ()


def test_recipients_of_a_file(tmp_path):
    file = tmp_path / "who"
    file.write_text("# me\n\n age1a \nage1b\n")
    assert encryption.of_file(file) == ["age1a", "age1b"]
    file.write_text("# nobody\n")
    with pytest.raises(InputError, match="names no recipient"):
        encryption.of_file(file)
    with pytest.raises(InputError, match="cannot read the recipients"):
        encryption.of_file(tmp_path / "gone")


def test_a_new_identity_is_its_owners_alone_and_never_overwrites(tmp_path, monkeypatch):
    file = tmp_path / "key"
    recipient = encryption.new_identity(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        encryption.new_identity(file)
    assert file.read_bytes() == before
    encryption.use_identity(file)
    try:
        assert encryption.decrypt(encryption.encrypt(b"abc", [recipient]), tmp_path) == b"abc"
    finally:
        os.environ.pop(encryption.IDENTITY_FILE)


def test_no_key_and_a_wrong_one_are_one_sentence(keys, tmp_path, monkeypatch):
    (tmp_path / "x.json").write_bytes(encryption.encrypt(b"[1]", [str(OWNER.to_public())]))
    files = Files(tmp_path)
    assert files.read_json("x.json") == [1]
    (keys / "none").write_text("nothing\n")
    (keys / "broken").write_text(str(OWNER)[:-3] + "QQQ\n")
    for name, said in (
        ("stranger", "does not open with the identity"),
        ("gone", "cannot read the identity"),
        ("none", "holds no identity"),
        ("broken", "damaged identity"),
        (None, "x.json is encrypted; name your identity"),
    ):
        monkeypatch.setenv(encryption.IDENTITY_FILE, str(keys / name) if name else "")
        with pytest.raises(NoKey, match=said) as caught:
            files.read_bytes("x.json")
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_any_flipped_bit_is_refused(keys, tmp_path):
    file, plain = tmp_path / "log", bytes(range(256)) * 300  # two blocks of age
    made = encryption.encrypt(plain, [str(OWNER.to_public())])
    header = made.index(b"\n---") + 60
    for place in [*range(len(encryption.MAGIC), header, 3), *range(header, len(made), 7001), len(made) - 1]:
        file.write_bytes(made[:place] + bytes([made[place] ^ 1 << place % 8]) + made[place + 1 :])
        with pytest.raises(InputError):
            read_live(file)
    for short in (made[:-1], made[: len(made) // 2]):
        file.write_bytes(short)
        with pytest.raises(InputError):
            read_live(file)
    file.write_bytes(made)
    assert read_live(file) == plain


@pytest.mark.skipif(shutil.which("age") is None, reason="the program age is not installed")
def test_the_program_age_reads_what_we_write_and_we_what_it_writes(tmp_path, monkeypatch):
    """With a key of ours and with one of `age-keygen`; a file of several pieces (64 KiB each), and an empty one."""

    def age(*arguments, data=None):
        return subprocess.run(arguments, input=data, capture_output=True, check=True).stdout

    ours = encryption.new_identity(tmp_path / "ours")
    age("age-keygen", "-o", str(tmp_path / "theirs"))
    theirs = age("age-keygen", "-y", str(tmp_path / "theirs")).decode().strip()
    assert age("age-keygen", "-y", str(tmp_path / "ours")).decode().strip() == ours
    for data in (b"", bytes(range(256)) * 1000):
        made = encryption.encrypt(data, [ours, theirs])
        sealed = age("age", "-r", ours, "-r", theirs, data=data)
        assert encryption.is_sealed(sealed)
        for name in ("ours", "theirs"):
            assert age("age", "-d", "-i", str(tmp_path / name), data=made) == data
            monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / name))
            assert encryption.decrypt(sealed, tmp_path / "file") == data
