"""Keys: made once, stored as hashes, checked, taken back while a server runs."""

import json

import pytest

from llmkit.errors import ConfigError, InputError
from llmkit.serving import keys
from llmkit.serving.keys import Keys, Limit


def test_a_key_is_found_by_itself_alone(tmp_path):
    file = tmp_path / "keys.json"
    first, second = keys.add(file, "a", ["use"], "60/minute"), keys.add(file, "b", ["metrics"], "")
    known = Keys(file)
    assert known.find(first).name == "a" and known.find(second).may == ["metrics"]
    ident, secret = first.split("-")[1], second.split("-", 2)[2]
    for wrong in (
        "",
        first[:-1],
        first + "x",
        f"llmkit-{ident}-{secret}",
        first.upper(),
        "x" * 100_000,
        "é",
        first + "\n",
    ):
        assert known.find(wrong) is None


def test_the_file_holds_no_key_and_is_its_owners_alone(tmp_path):
    file = tmp_path / "keys.json"
    key = keys.add(file, "a", ["use"], "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.split("-", 2)[2] not in file.read_text()
    [entry] = json.loads(file.read_text())["keys"]
    assert len(bytes.fromhex(entry["hash"])) == 32 and len(bytes.fromhex(entry["salt"])) == 16


def test_keys_come_and_go_while_a_server_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)
    file = tmp_path / "keys.json"
    first = keys.add(file, "a", ["use"], "")
    known = Keys(file)
    second = keys.add(file, "b", ["use"], "")
    assert known.find(second).name == "b"
    keys.revoke(file, "a")
    assert known.find(first) is None and known.find(second)
    file.write_text("{")
    assert known.find(second) is None  # what cannot be read lets nobody in


@pytest.mark.parametrize(
    ("name", "may", "limit", "says"),
    [
        ("a b", ["use"], "", "a name is of letters"),
        ("", ["use"], "", "a name is of letters"),
        ("b", ["rule"], "", "there are use, explain, metrics"),
        ("b", [], "", "names nothing"),
        ("b", ["use"], "60", "write it as 60/minute"),
        ("b", ["use"], "0/minute", "write it as 60/minute"),
        ("a", ["use"], "", "has a key 'a'"),
    ],
)
def test_what_is_no_key_is_refused(tmp_path, name, may, limit, says):
    keys.add(tmp_path / "keys.json", "a", ["use"], "")
    with pytest.raises(ConfigError, match=says):
        keys.add(tmp_path / "keys.json", name, may, limit)


def test_a_file_that_others_can_read_or_that_is_damaged_is_refused(tmp_path):
    file = tmp_path / "keys.json"
    keys.add(file, "a", ["use"], "")
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Keys(file)
    file.chmod(0o600)
    for text in ("", "[]", '{"keys": [1]}', '{"keys": [{"id": "x"}]}', "[" * 100_000):
        file.write_text(text)
        with pytest.raises(InputError, match="holds no keys"):
            Keys(file)
    with pytest.raises(InputError, match="has no key 'z'; there are: none"):
        keys.revoke(tmp_path / "none.json", "z")


def test_limits():
    assert keys.limit_of("60/minute") == Limit(60, 60.0)
    assert keys.limit_of("5/hour") == Limit(5, 3600.0)
    assert keys.limit_of("") is None
