"""A run with encryption: no plain byte of the text anywhere, the same results, other recipients without training."""

import json
import os
import shutil
import signal
import tempfile

import pytest
from forks import in_child
from small_runs import without_torch

from llmkit.store import artifacts, encryption, manifests
from llmkit.tasks import experiment

pyrage = pytest.importorskip("pyrage")

CANARY = "zebrafish of the owner hums seven"
KEPT_WORDS = [CANARY.encode(), b"zebrafish"]


@pytest.fixture
def secret(tiny_fresh, tmp_path, monkeypatch):
    """A run not begun, encrypted to `key`, whose text has a canary; temporary files go to a folder that is watched."""
    monkeypatch.setattr(encryption, "_protected", {})
    recipient = encryption.new_identity(tmp_path / "key")
    text = tiny_fresh.text.read_text()
    tiny_fresh.text.write_text(text[:2000] + f"\n{CANARY}\n" * 40 + text[2000:])
    with tiny_fresh.config.open("a") as file:
        file.write(f"encryption: {{recipients: [{recipient}]}}\n")
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))  # not looked for, by writing, while it is watched
    return tiny_fresh


def all_files(*folders):
    return [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def assert_nothing_plain(run):
    """Neither the canary nor anything but manifests and locks is plain below RUN_DIR and TMPDIR."""
    for path in all_files(run.run_dir, run.config.parent / "tmp"):
        data = path.read_bytes()
        assert not [word for word in KEPT_WORDS if word in data], path
        of_library = path.parent == run.config.parent / "tmp"  # a session number of ONNX Runtime's, for example
        if not of_library and path.name not in (manifests.MANIFEST, f".{manifests.MANIFEST}.tmp", ".lock"):
            assert encryption.is_sealed(data), path


def test_a_canary_is_nowhere(llmkit, secret, tmp_path, monkeypatch):
    written = []  # each file that is there at any time, looked at whenever a name comes or goes

    def look(original):
        def looked(*arguments, **words):
            written.extend(all_files(secret.run_dir, tmp_path / "tmp"))
            assert_nothing_plain(secret)
            return original(*arguments, **words)

        return looked

    for name in ("rename", "replace", "unlink"):
        monkeypatch.setattr(os, name, look(getattr(os, name)))
    assert llmkit("prepare", secret.config).code == 0

    def killed():
        from llmkit.training import checkpoint

        write = checkpoint.write

        def then_die(*arguments):
            write(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(checkpoint, "write", then_die)
        from llmkit.stages.train import train

        train(experiment.load(secret.config, ["train.checkpoint_minutes=0.00001"]))

    assert in_child(killed) == -signal.SIGKILL
    assert list((secret.run_dir / "work" / "train").glob("checkpoint-*"))
    assert_nothing_plain(secret)
    ran = llmkit("train", secret.config, "train.checkpoint_minutes=0.00001")
    assert ran.code == 0 and "going on from step" in ran.err
    assert llmkit("compress", secret.config).code == 0
    made = llmkit("generate", secret.config, "--model", "int8", "--prompt", CANARY, "--json")
    assert made.code == 0 and made.json["texts"]
    assert llmkit("evaluate", secret.config, "--model", "model", "--model", "int8").code == 0
    assert llmkit("evaluate", secret.int8, "--on", secret.text).code == 0
    assert llmkit("evaluate", secret.int8, "--on", "-", stdin=f"{CANARY}\n".encode() * 9).code == 0
    assert_nothing_plain(secret)
    assert len(set(written)) > 20
    identity = pyrage.x25519.Identity.from_str((tmp_path / "key").read_text().split()[-1])
    for path in all_files(secret.run_dir):
        if path.name not in (manifests.MANIFEST, ".lock"):
            pyrage.decrypt(path.read_bytes(), [identity])  # as `age -d -i key FILE` does
    result = pyrage.decrypt((secret.run_dir / "generated" / "result.json").read_bytes(), [identity])
    assert json.loads(result)["texts"] == made.json["texts"]


def test_it_learns_what_it_would_have_learned_plain(llmkit, secret, tiny_run, monkeypatch):
    secret.text.write_text(tiny_run.text.read_text())
    for stage in ("prepare", "train"):
        assert llmkit(stage, secret.config).code == 0
    plain, sealed = (experiment.read_model(run.model) for run in (tiny_run, secret))
    assert plain.result == sealed.result
    for name in ("model.safetensors", "graph.onnx", "tokenizer.json", "config.yaml"):
        assert plain.read_bytes(name) == sealed.read_bytes(name)


@pytest.fixture
def encrypted(tiny_copy, tmp_path, monkeypatch, llmkit):
    """A finished plain run, encrypted by the command."""
    monkeypatch.setattr(encryption, "_protected", {})
    recipient = encryption.new_identity(tmp_path / "key")
    with tiny_copy.config.open("a") as file:
        file.write(f"encryption: {{recipients: [{recipient}]}}\n")
    refused = llmkit("train", tiny_copy.config)
    assert refused.code == 3 and "llmkit encrypt" in refused.error
    assert llmkit("encrypt", tiny_copy.config).code == 0
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return tiny_copy


def test_a_plain_run_is_encrypted_and_stays_up_to_date(llmkit, encrypted, monkeypatch):
    assert_nothing_plain(encrypted)
    for stage in ("prepare", "train", "compress"):
        assert llmkit(stage, encrypted.config, "--json").out.count('"up_to_date": true') == 1
    before = llmkit("generate", encrypted.config, "--model", "int8", "--json").json["texts"]
    other = encryption.new_identity(encrypted.config.parent / "other")
    text = encrypted.config.read_text()
    encrypted.config.write_text(text[: text.index("encryption:")] + f"encryption: {{recipients: [{other}]}}\n")
    assert "is encrypted to others" in llmkit("train", encrypted.config).error
    assert llmkit("encrypt", encrypted.config, "--dry-run").code == 0
    assert "is encrypted to others" in llmkit("train", encrypted.config).error
    assert llmkit("encrypt", encrypted.config).code == 0
    assert "does not open with the identity" in llmkit("generate", encrypted.int8).error  # of the first key
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(encrypted.config.parent / "other"))
    for stage in ("prepare", "train", "compress"):
        assert llmkit(stage, encrypted.config, "--json").out.count('"up_to_date": true') == 1
    assert llmkit("generate", encrypted.config, "--model", "int8", "--json").json["texts"] == before


def test_without_a_key_up_to_date_tells_nothing(llmkit, encrypted, monkeypatch):
    monkeypatch.delenv(encryption.IDENTITY_FILE)
    for stage in ("prepare", "train"):
        for more in ([], ["--dry-run"]):
            ran = llmkit(stage, encrypted.config, "--json", *more)
            assert ran.code == 0 and sorted(ran.json) == ["folder", "stage", "up_to_date"]
    for command in (["generate", encrypted.int8], ["evaluate", encrypted.config], ["compress", encrypted.config]):
        ran = llmkit(*command)
        assert ran.code == 3 and ran.error.count("\n") == 0 and "name your identity" in ran.error
    ran = llmkit("generate", encrypted.int8, "--identity", encrypted.config.parent / "key", "-q")
    assert ran.code == 0
    os.environ.pop(encryption.IDENTITY_FILE, None)  # which --identity sets


def test_a_config_without_recipients_writes_nothing_beside_encrypted_data(llmkit, encrypted):
    text = encrypted.config.read_text()
    encrypted.config.write_text(text[: text.index("encryption:")])
    for stage in ("train", "compress", "generate", "evaluate"):
        ran = llmkit(stage, encrypted.config)
        assert ran.code == 3 and "names no encryption.recipients" in ran.error


def test_each_file_with_a_flipped_bit_is_refused(llmkit, encrypted):
    for folder in (encrypted.int8, encrypted.run_dir / "prepared"):
        for path in all_files(folder):
            data = path.read_bytes()
            for place in (len(data) // 3, len(data) - 2):
                path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
                with pytest.raises(artifacts.InputError):
                    artifacts.read(folder)
            path.write_bytes(data)
        artifacts.read(folder)


@pytest.mark.parametrize(
    "change",
    [
        *({"encryption": wrong} for wrong in (5, ["age1x"], [None])),
        *({"same_as": wrong} for wrong in (1, "x")),
        *({"result": wrong} for wrong in ({}, {"age": 3}, {"age": "%"})),
    ],
)
def test_a_manifest_that_says_nonsense_of_its_encryption(llmkit, encrypted, change):
    place = encrypted.int8 / manifests.MANIFEST
    manifest = json.loads(place.read_text()) | change
    del manifest[manifests.CHECKSUM]
    checksum = manifests.checksum(manifest)
    place.write_bytes(manifests.json_bytes(manifest | {manifests.CHECKSUM: checksum}))
    ran = llmkit("generate", encrypted.int8)
    assert ran.code == 3 and "is damaged" in ran.error


def test_a_model_folder_is_encrypted_for_shipping(llmkit, tiny_run, tmp_path, monkeypatch):
    recipient = encryption.new_identity(tmp_path / "key")
    assert "name at least one --recipient" in llmkit("encrypt", tiny_run.int8, "--out", tmp_path / "ship").error
    assert llmkit("encrypt", tiny_run.int8, "--recipient", recipient, "--out", tmp_path / "ship").code == 0
    assert "exists already" in llmkit("encrypt", tiny_run.int8, "--recipient", recipient, "--out", tmp_path).error
    assert llmkit("generate", tmp_path / "ship").code == 3
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    folders = [experiment.read_model(place) for place in (tiny_run.int8, tmp_path / "ship")]
    assert folders[0].artifact.hash == folders[1].artifact.hash  # what was made of one was made of the other
    assert folders[0].result == folders[1].result
    code = f"import llmkit; print(llmkit.load({str(tmp_path / 'ship')!r}).generate('the', max_tokens=5, seed=1))"
    ran = without_torch(code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    shutil.copytree(tiny_run.int8, tmp_path / "plain")
    assert llmkit("encrypt", tmp_path / "plain", "--recipient", recipient).code == 0
    assert encryption.is_sealed((tmp_path / "plain" / "config.yaml").read_bytes())


def test_a_search_leaves_nothing_plain(llmkit, encrypted, monkeypatch):
    """Not while it runs either: each file is looked at whenever one is put in its place."""
    seen = set()

    def look(original):
        def looked(*arguments, **words):
            seen.update(path.name for path in all_files(encrypted.run_dir))
            assert_nothing_plain(encrypted)
            return original(*arguments, **words)

        return looked

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, look(getattr(os, name)))
    search = ["tune.trials=2", "tune.search={train.learning_rate: {choices: [0.01, 0.02]}}", "tune.workers=1"]
    ran = llmkit("tune", encrypted.config, *search, "--json")
    assert ran.code == 0 and len(ran.json["trials"]) == 2
    assert "journal.log" in seen
    assert_nothing_plain(encrypted)
    more = llmkit("tune", encrypted.config, "tune.trials=3", *search[1:], "--json")  # it goes on from the journal
    assert more.json["trials"][:2] == ran.json["trials"] and len(more.json["trials"]) == 3


def test_what_cannot_be_encrypted_is_refused(llmkit, encrypted, tmp_path):
    assert "event files are plain" in llmkit("train", encrypted.config, "train.tensorboard=true", "--force").error
    assert "holds nothing to encrypt" in llmkit("encrypt", tmp_path / "tmp", "--recipient", "age1x").error
    assert llmkit("encrypt", tmp_path / "gone.yaml", "--recipient", "age1x").code == 3


def test_init_makes_a_key(llmkit, tmp_path):
    ran = llmkit("init", "--new-key", tmp_path / "key")
    assert ran.code == 0 and ran.out.startswith("age1") and "SECRET" not in ran.out + ran.err
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert llmkit("init", "--new-key", tmp_path / "key").code == 3
    assert llmkit("init", "c.yaml", "--new-key", tmp_path / "key2").code == 2
