"""`llmkit compress` from the command line: a table of all variants, up to date or stale, what goes wrong, Ctrl-C."""

import json
import os
import signal

import pytest

from llmkit.compression import sparse
from llmkit.training import loop

VARIANTS = """compress:
  int8: {method: quantize, bits: 8}
  sparse: {method: prune, sparsity: 0.8, steps: 2}
  half: {method: prune, how: structured, sparsity: 0.5, steps: 2}
  student: {method: distil, model: {hidden_size: 8, embedding_size: 4}, steps: 2}
  all: {method: chain, steps: [{method: prune, sparsity: 0.5, steps: 2}, {method: quantize}]}
"""


@pytest.fixture
def variants(tiny_copy):
    """The tiny run with a variant of each method."""
    text = tiny_copy.config.read_text()
    tiny_copy.config.write_text(text.replace("compress:\n  int8: {method: quantize, bits: 8}\n", VARIANTS))
    return tiny_copy


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def manifest(run, name):
    return manifest_of(run.run_dir / "compressed" / name)


def test_all_variants_beside_the_original(llmkit, variants):
    ran = llmkit("compress", variants.config)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == ["model", "size", "smaller", "val_loss", "change", "tokens/s"]
    assert [line.split()[0] for line in lines[2:]] == ["model", "int8", "sparse", "half", "student", "all"]
    assert manifest(variants, "sparse")["result"]["zeros"] == round(
        0.8 * manifest(variants, "sparse")["result"]["prunable"]
    )
    assert manifest(variants, "half")["result"]["steps"] == 2
    chain = manifest(variants, "all")["result"]
    assert (chain["method"], chain["steps"], [done["method"] for done in chain["chain"]]) == (
        "chain",
        2,
        ["prune", "quantize"],
    )
    for name in ("sparse", "half", "student", "all"):
        folder = variants.run_dir / "compressed" / name
        assert llmkit("generate", folder, "--max-tokens", "5", "--no-stop-at-document-end").code == 0
        assert not any((variants.run_dir / "work" / "compress" / name).rglob("checkpoint-*"))
    again = llmkit("compress", variants.config, "--json").json
    assert [row["up_to_date"] for row in again["models"]] == [True] * 5
    assert all(row["seconds"] > 0 and row["tokens_per_second"] > 0 for row in again["models"])
    assert again["original"]["tokens_per_second"] > 0


def test_the_loss_in_the_table_is_that_of_evaluate(llmkit, variants):
    made = llmkit("compress", variants.config, "half", "--json").json
    found = llmkit("evaluate", variants.config, "evaluate.split=val", "--model", "half", "--json").json
    assert found["loss"] == pytest.approx(made["val_loss"], rel=1e-6)
    assert found["size_bytes"] == made["size_bytes"]
    assert found["parameters"] == made["parameters"] < manifest_of(variants.model)["result"]["parameters"]


def test_a_mixed_model_keeps_its_ngram(llmkit, variants):
    assert llmkit("train", variants.config, "train.ngram=true").code == 0
    made = llmkit("compress", variants.config, "half", "all", "train.ngram=true", "--json").json
    for row in made["models"]:
        ngram = variants.run_dir / "compressed" / row["name"] / "ngram.safetensors"
        assert ngram.read_bytes() == (variants.model / "ngram.safetensors").read_bytes()
        assert llmkit("generate", ngram.parent, "--max-tokens", "5").code == 0
    lstm_alone = manifest_of(variants.model)["result"]["lstm_val_loss"]
    assert made["original"]["val_loss"] < lstm_alone - 0.1  # the mixture is what is compared


def test_the_same_steps_give_the_same_bytes(llmkit, variants):
    found = []
    for _ in range(2):
        assert llmkit("compress", variants.config, "sparse", "half", "--force").code == 0
        found.append([manifest(variants, name)["files"] for name in ("sparse", "half")])
    assert found[0] == found[1]


def test_a_fine_tuned_variant_serves_start_from(llmkit, variants):
    assert llmkit("compress", variants.config, "half").code == 0
    half = variants.run_dir / "compressed" / "half"
    options = [f"train.start_from={half}", "model.hidden_size=8", f"run_dir={variants.run_dir}"]
    assert llmkit("train", variants.config, *options).code == 0


def test_interrupted_within_a_fine_tuning(llmkit, variants, monkeypatch):
    """Exit code 130, no folder, and the same command goes on."""
    step, count = sparse.Pruned.step, 0

    def interrupted(self, rate, spent):
        nonlocal count
        count += 1
        if count == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, rate, spent)

    monkeypatch.setattr(sparse.Pruned, "step", interrupted)
    ran = llmkit("compress", variants.config, "sparse")
    assert (ran.code, ran.error) == (130, "interrupted at step 1; the same command goes on from there")
    assert [path.name for path in (variants.run_dir / "compressed").iterdir()] == ["int8"]
    assert llmkit("compress", variants.config, "sparse").code == 0
    assert count == 2
    interrupted_files = manifest(variants, "sparse")["files"]
    assert llmkit("compress", variants.config, "sparse", "--force").code == 0
    assert manifest(variants, "sparse")["files"] == interrupted_files


def test_other_settings_begin_anew_after_an_interruption(llmkit, variants, monkeypatch):
    monkeypatch.setattr(loop._Run, "out_of_patience", lambda self: os.kill(os.getpid(), signal.SIGINT))
    assert llmkit("compress", variants.config, "sparse").code == 130
    monkeypatch.undo()
    assert llmkit("compress", variants.config, "sparse", "compress.sparse.sparsity=0.6").code == 0


def test_a_member_made_again_makes_the_fused_one_stale(llmkit, variants):
    text = variants.config.read_text()
    student = variants.run_dir / "compressed" / "half"
    line = f"  one: {{method: fuse, how: distil, members: [{variants.model}, {student}], steps: 2}}\n"
    variants.config.write_text(text.replace("compress:\n", "compress:\n" + line))
    ran = llmkit("compress", variants.config, "one")
    assert (ran.code, ran.error.split(";")[0]) == (3, f"{student} is missing")
    assert llmkit("compress", variants.config, "half").code == 0
    assert llmkit("compress", variants.config, "one").code == 0
    assert llmkit("compress", variants.config, "one", "--json").json["up_to_date"]
    assert llmkit("compress", variants.config, "half", "compress.half.sparsity=0.25").code == 0
    ran = llmkit("compress", variants.config, "one", "--dry-run")
    assert f"its input {student} has changed" in ran.out


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("compress={q: {method: prun}}", 2, "'prun' is not one of"),
        ("compress={q: {method: prune, sparsity: 1.0}}", 2, "compress.q.sparsity: expected a number < 1.0, got 1.0"),
        ("compress={q: {method: distil, steps: 0}}", 2, "a student of 0 steps has learned nothing"),
        ("compress={q: {method: distil, teacher: nowhere, steps: 1}}", 3, "nowhere is missing"),
        ("compress={q: {method: fuse, members: [INT8, MODEL]}}", 3, "has no float weights"),
        ("compress={q: {method: fuse, members: [MODEL, MODEL]}}", 2, "stands there twice"),
        ("compress={q: {method: budget, max_size_mb: 0.0001, max_minutes: 0.001}}", 4, "nothing fits; nearest is"),
    ],
)
def test_bad_input(llmkit, tiny_copy, override, code, message):
    override = override.replace("INT8", str(tiny_copy.int8)).replace("MODEL", str(tiny_copy.model))
    ran = llmkit("compress", tiny_copy.config, override)
    assert ran.code == code
    assert message in ran.error
    assert not (tiny_copy.run_dir / "compressed" / "q").exists()


def test_a_teacher_that_does_not_fit_is_told_before_anything_is_made(llmkit, variants):
    late = f"compress.late={{method: distil, teacher: {variants.int8}, steps: 1}}"
    ran = llmkit("compress", variants.config, "half", "late", late)
    assert ran.code == 3 and "has no float weights" in ran.error
    assert not (variants.run_dir / "compressed" / "half").exists()


def test_a_budget_that_nothing_fits_does_not_keep_the_others_from_being_made(llmkit, variants):
    variants.config.write_text(
        variants.config.read_text().replace(
            "compress:\n", "compress:\n  never: {method: budget, max_size_mb: 0.0001, max_minutes: 0.001}\n"
        )
    )
    ran = llmkit("compress", variants.config, "never", "half", "--json")
    assert ran.code == 4
    assert ran.json["error"]["code"] == 4
    assert "unmet" in ran.json["models"][0]
    assert ran.json["models"][0]["candidates"][0]["name"] == "original"
    assert ran.json["models"][1]["val_loss"] > 0


def test_compressing_what_is_compressed_says_to_chain(llmkit, tiny_copy):
    ran = llmkit("compress", tiny_copy.config, "--model", "int8")
    assert ran.code == 2
    assert "is compressed already; compress model or tuned" in ran.error
    assert "{method: chain}" in ran.error


def test_compress_beside_the_original(llmkit, tiny_copy):
    ran = llmkit("compress", tiny_copy.config, "int8", "--force")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["model", "-----", "model", "int8"]
    found = llmkit("compress", tiny_copy.config, "--json").json
    assert found["original"]["size_bytes"] == found["times_smaller"] * found["size_bytes"]
    assert found["val_loss_increase_percent"] == pytest.approx(
        100 * (found["val_loss"] / found["original"]["val_loss"] - 1), abs=1e-9
    )


def test_compress_without_variants(llmkit, tiny_copy):
    ran = llmkit("compress", tiny_copy.config, "compress={}")
    assert ran.code == 2
    assert "has no variants" in ran.error
