"""What manifest.json says: how it is written, sealed and read back; no file is needed."""

import json
from pathlib import Path

import pytest

from llmkit.errors import InputError, LaterVersion
from llmkit.store import encryption, manifests

PLACE = Path("runs/x/model")
MANIFEST = {
    "schema_version": manifests.SCHEMA_VERSION,
    "llmkit_version": "0.1.0",
    "stage": "train",
    "task": "table",
    "seed": 1,
    "inputs": [],
    "settings": {"train": {"steps": 3}},
    "versions": {},
    "parents": {"prepared": "0" * 64},
    "result": {"val_loss": 0.25},
    "files": {"a/b.txt": {"bytes": 3, "sha256": "0" * 64}},
}


def read(manifest, stages=None):
    return manifests.checked(manifests.to_bytes(manifest), PLACE, "make it again", stages)


def test_what_is_written_reads_back():
    assert read(MANIFEST) == MANIFEST | {manifests.CHECKSUM: manifests.checksum(MANIFEST)}
    assert read(MANIFEST, ("train", "tune"))["stage"] == "train"
    with pytest.raises(InputError, match="was made by train, not by prepare; make it again"):
        read(MANIFEST, ("prepare",))


def test_every_flipped_bit_is_seen():
    data = bytearray(manifests.to_bytes(MANIFEST))
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(InputError):
            manifests.checked(bytes(data), PLACE, "make it again", None)
        data[place] ^= 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seed": "1"}, "missing or wrong: seed"),
        ({"schema_version": 0}, "missing or wrong: schema_version"),
        ({"parents": {"prepared": 5}}, "a parent is no hash"),
        ({"files": {"../b": {"bytes": 3, "sha256": "0"}}}, "is no file of this folder"),
        ({"files": {"b": {"bytes": "3", "sha256": "0"}}}, "is no file of this folder"),
        ({"files": {"manifest.json": {"bytes": 3, "sha256": "0"}}}, "is no file of this folder"),
    ],
)
def test_what_is_no_manifest(wrong, says):
    with pytest.raises(InputError, match=says):
        read(MANIFEST | wrong)


def test_a_later_version_is_named():
    with pytest.raises(LaterVersion, match="install llmkit 9.0 or later"):
        read(MANIFEST | {"schema_version": manifests.SCHEMA_VERSION + 1, "llmkit_version": "9.0"})


def test_what_came_out_is_sealed_and_the_prompts_of_generate_with_it(tmp_path, monkeypatch):
    pytest.importorskip("pyrage")
    recipient = encryption.new_identity(tmp_path / "key")
    asked = MANIFEST | {"stage": "generate", "settings": {"generate": {"prompt": "a secret"}}}
    hidden, result = manifests.sealed(asked, [recipient])
    assert result == MANIFEST["result"] | {"settings": asked["settings"]}
    data = manifests.to_bytes(hidden)
    assert b"secret" not in data and b"0.25" not in data
    monkeypatch.delenv(encryption.IDENTITY_FILE, raising=False)
    assert manifests.opened(read(hidden), PLACE, "make it again")["result"] == {}
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    assert manifests.opened(read(hidden), PLACE, "make it again")["result"] == result
    for wrong in ({"encryption": ["age1x"]}, {"same_as": "x"}, {"result": {"age": "%"}}):
        with pytest.raises(InputError, match="is damaged"):
            manifests.opened(read(hidden | wrong), PLACE, "make it again")


def test_differences_are_flat_sorted_lines() -> None:
    old = {
        "train": {"learning_rate": 5e-3, "steps": 10},
        "files": ["a", "b"],
        "kind": "char",
        "gone": 1,
        "x": {},
    }
    new = {
        "train": {"learning_rate": 1e-3, "steps": 10},
        "files": ("a",),
        "kind": None,
        "y": {"z": True},
        "x": {},
    }
    assert manifests.differences(old, new) == [
        'files: ["a", "b"] → ["a"]',
        "gone: 1 → unset",
        'kind: "char" → null',
        "train.learning_rate: 0.005 → 0.001",
        "y.z: unset → true",
    ]
    assert manifests.differences(old, json.loads(json.dumps(old))) == []
    steps = [{"method": "prune", "sparsity": 0.5}, {"method": "quantize"}]
    other = [{"sparsity": 0.8, "method": "prune"}, {"method": "quantize"}]  # keys in another order
    assert manifests.differences({"steps": steps}, {"steps": other}) == ["steps.0.sparsity: 0.5 → 0.8"]
