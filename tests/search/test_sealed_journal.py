"""A journal that is never plain on disk: what was noted is there again, a crash loses the last note at most."""

import os

import pytest

from llmkit.errors import InputError, NoKey
from llmkit.search.sealed_journal import SealedJournal
from llmkit.store import encryption

pytest.importorskip("pyrage")
NOTES = [{"op_code": 0, "name": "a secret"}, {"op_code": 4, "value": 0.5}]


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setattr(encryption, "_protected", {})
    (tmp_path / "run").mkdir()
    encryption.protect(tmp_path / "run", [encryption.new_identity(tmp_path / "key")])
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    return tmp_path / "run" / "journal.log"


def test_what_was_noted_is_there_again_and_never_plain(journal):
    first = SealedJournal(journal)
    assert list(first.read_logs(0)) == []
    for note in NOTES:
        first.append_logs([note])
    assert encryption.is_sealed(journal.read_bytes()) and b"secret" not in journal.read_bytes()
    again = SealedJournal(journal)
    assert list(again.read_logs(0)) == list(first.read_logs(0)) == NOTES
    assert list(again.read_logs(1)) == NOTES[1:]


def test_one_that_was_plain_goes_on(journal):
    plain = b'{"op_code": 0, "name": "a secret"}\n'
    journal.write_bytes(encryption.sealed(journal, plain))  # as `llmkit encrypt` leaves it
    journal_of_optuna = SealedJournal(journal)
    journal_of_optuna.append_logs(NOTES[1:])
    assert list(SealedJournal(journal).read_logs(0)) == NOTES


def test_a_note_that_is_not_on_disk_does_not_count(journal, monkeypatch):
    kept = SealedJournal(journal)
    kept.append_logs(NOTES[:1])

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match="free some space"):
            kept.append_logs(NOTES[1:])
    assert list(kept.read_logs(0)) == list(SealedJournal(journal).read_logs(0)) == NOTES[:1]


def test_damage_and_a_missing_key_are_named(journal, monkeypatch):
    journal.write_bytes(encryption.sealed(journal, b"{}\nnone\n"))
    with pytest.raises(InputError, match=r"journal.log:2: damaged: .*--fresh"):
        SealedJournal(journal)
    monkeypatch.delenv(encryption.IDENTITY_FILE)
    with pytest.raises(NoKey):
        SealedJournal(journal)
