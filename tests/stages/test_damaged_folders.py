"""Damaged, half-swapped or newer folders: each stage that reads one refuses or mends it, and changes nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import snapshot


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damages(*names: str) -> Any:
    """Each kind of damage to each file; only its children hold the hash of a manifest, which shows a flipped bit."""
    kinds = {"truncated": truncate, "flipped": flip_a_bit, "gone": Path.unlink}
    cases = [(name, kind) for name in names for kind in kinds if (name, kind) != ("manifest.json", "flipped")]
    ids = [f"{name}-{kind}" for name, kind in cases]
    return pytest.mark.parametrize(("name", "damage"), [(name, kinds[kind]) for name, kind in cases], ids=ids)


@damages("train.npy", "val.npy", "test.npy", "tokenizer.json", "meta.json", "manifest.json")
def test_damaged_prepared_data(llmkit, tiny_copy, name, damage):
    damage(tiny_copy.run_dir / "prepared" / name)
    before = snapshot(tiny_copy.run_dir)
    for stage in ("train", "evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config)
        assert ran.code == 3
        assert name in ran.error
        assert ran.error.endswith(f"run: llmkit prepare {tiny_copy.config}")
    assert snapshot(tiny_copy.run_dir) == before


@damages("graph.onnx", "model.safetensors", "tokenizer.json", "config.yaml", "manifest.json")
def test_damaged_model(llmkit, tiny_copy, name, damage):
    damage(tiny_copy.model / name)
    before = snapshot(tiny_copy.run_dir)
    for stage in ("generate", "evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config)
        assert ran.code == 3
        assert name in ran.error
        assert ran.error.endswith(f"run: llmkit train {tiny_copy.config}")
    ran = llmkit("generate", tiny_copy.model)
    assert ran.code == 3
    assert name in ran.error
    assert ran.error.endswith("make it again, or copy it anew")
    assert snapshot(tiny_copy.run_dir) == before


def test_prepare_mends_damaged_data_and_the_model_stays_up_to_date(llmkit, tiny_copy):
    flip_a_bit(tiny_copy.run_dir / "prepared" / "train.npy")
    assert "up_to_date" not in llmkit("prepare", tiny_copy.config, "--json").json
    assert llmkit("train", tiny_copy.config, "--json").json["up_to_date"] is True


@pytest.mark.parametrize("stage", ["prepare", "train", "compress", "generate", "evaluate"])
def test_an_artifact_of_a_later_version_is_refused_and_kept(llmkit, tiny_copy, stage):
    place = {"prepare": tiny_copy.run_dir / "prepared", "compress": tiny_copy.int8}.get(stage, tiny_copy.model)
    manifest = json.loads((place / "manifest.json").read_text())
    del manifest["manifest_sha256"]  # that of the changed one is another
    (place / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2, "llmkit_version": "9.8.7"}))
    before = snapshot(tiny_copy.run_dir)
    ran = llmkit(stage, tiny_copy.config, "seed=2")
    assert ran.code == 3
    assert "install llmkit 9.8.7 or later" in ran.error
    assert snapshot(tiny_copy.run_dir) == before


def test_a_model_folder_moved_aside_by_a_crash_is_put_back(llmkit, tiny_copy):
    for folder in (tiny_copy.model, tiny_copy.run_dir / "prepared"):
        folder.rename(folder.with_name(folder.name + ".old"))
    assert llmkit("generate", tiny_copy.model, "--max-tokens", 3).code == 0
    assert llmkit("evaluate", tiny_copy.config).code == 0
    assert not list(tiny_copy.run_dir.glob("*.old"))
