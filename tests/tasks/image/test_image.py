"""`task: image` through the command line: metrics, pictures by label, seed and between seeds, training, bad input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hostile_folders import forge
from PIL import Image
from small_pictures import squares, write_pictures
from small_runs import without_torch

import llmkit as package
from llmkit.data.grid import grid
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.image import evaluate, features, prepare as task, use

METRICS = {"frechet_distance", "kid", "precision", "recall"}


def opened(path):
    return np.asarray(Image.open(path))


# --- prepare and evaluate ---------------------------------------------------------------------------------------


def test_pictures_are_split_by_label_and_features_are_standardized(image_run):
    prepared = Files(image_run.run_dir / "prepared")
    meta = prepared.read_json("meta.json")
    assert meta["labels"] == ["left", "right"] and meta["size"] == 28 and meta["colours"] == 1
    assert meta["splits"]["val"] == {"examples": 24, "left": 12, "right": 12}
    pixels, _ = task.pictures_of(prepared, "train")
    found = features.Features(prepared).of(pixels)
    assert found.shape == (168, 64)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.std(axis=0, ddof=1), 1, atol=1e-3)


def test_the_metrics_of_the_contract_beside_those_of_real_pictures_and_what_int8_keeps(image_run, llmkit):
    rows = llmkit("evaluate", image_run.config, "--model", "model", "--model", "int8", "--json").json["models"]
    for row in rows:
        assert {"images_per_second", "size_bytes", "features_sha256", "latency_ms", *METRICS} <= row.keys()
        assert row["real_floor"].keys() == METRICS and row["images"] == 48 and row["split"] == "test"
        assert row["real_floor"]["frechet_distance"] < row["frechet_distance"]
        assert row["real_floor"] == rows[0]["real_floor"] and row["features_sha256"] == rows[0]["features_sha256"]
    assert rows[1]["frechet_distance"] == pytest.approx(rows[0]["frechet_distance"], rel=0.05)
    assert rows[1]["size_bytes"] < rows[0]["size_bytes"]
    weights = experiments.read_model(image_run.int8).weights()
    assert weights["first"].dtype == weights["project"].dtype == np.int8


def test_real_pictures_that_a_generator_repeats_reach_the_floor(image_run, monkeypatch):
    """Training pictures in place of made ones: the metrics must be those of real against real."""
    folder, prepared = experiments.read_model(image_run.model), Files(image_run.run_dir / "prepared")
    real, _ = task.pictures_of(prepared, "train")
    turn = iter(range(100))

    def drawn(self, count, seed):
        chosen = np.random.default_rng([evaluate.SEED, next(turn)])
        chosen.permutation(48)  # as evaluation has chosen the held-out ones before
        return real[chosen.permutation(len(real))[:count]]

    monkeypatch.setattr(use.Generator, "drawn", drawn)
    examples = evaluate.of_split(folder, prepared, "test")
    found = evaluate.metrics(folder, examples, folder.settings, lambda *report: None, pytest.fail)
    assert {name: found[name] for name in METRICS} == pytest.approx(found["real_floor"])


def test_evaluate_on_other_pictures_and_as_a_table(image_run, tmp_path, llmkit):
    pixels, _ = squares(60, seed=5)
    np.save(tmp_path / "other.npy", pixels)
    ran = llmkit("evaluate", image_run.model, image_run.int8, "--on", tmp_path / "other.npy")
    assert ran.code == 0 and "Fréchet distance" in ran.out.splitlines()[0]
    row = llmkit("evaluate", image_run.model, "--on", tmp_path / "other.npy", "--json").json
    assert row["split"] == "files" and row["images"] == 30 and row["real_floor"]["frechet_distance"] > 0
    np.save(tmp_path / "colour.npy", squares(60, colours=3)[0])
    ran = llmkit("evaluate", image_run.model, "--on", tmp_path / "colour.npy")
    assert ran.code == 3 and "these pictures are 28×28 coloured, the model's are 28×28 grey" in ran.error
    np.save(tmp_path / "few.npy", pixels[:5])
    ran = llmkit("evaluate", image_run.model, "--on", tmp_path / "few.npy")
    assert ran.code == 3 and "5 pictures are too few to compare with, 8 are the least" in ran.error
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    shutil.copy(tmp_path / "other.npy", tmp_path / "folder" / "inside")
    for place in ("folder", "folder/*/*.npy"):
        assert llmkit("evaluate", image_run.model, "--on", tmp_path / place, "--json").json["kid"] == row["kid"]
    for place, message in (("none*", "there is no such file"), ("folder/none", "there is no such file")):
        assert message in llmkit("evaluate", image_run.model, "--on", tmp_path / place).error


# --- generate -----------------------------------------------------------------------------------------------------


def test_a_grid_and_single_pictures_lie_in_the_run_folder(image_run, llmkit):
    result = llmkit("generate", image_run.config, "--count", 6, "--json").json
    place = image_run.run_dir / "generated"
    assert result["files"][:2] == [str(place / "grid.png"), str(place / "picture-1.png")]
    assert len(result["files"]) == 7 and result["engine"] == "onnxruntime" and result["pictures_per_second"] > 0
    assert result["labels"] == ["left", "right"] * 3 and result["columns"] == 2
    singles = np.stack([opened(file) for file in result["files"][1:]])[..., None]
    assert (opened(place / "grid.png") == grid(singles, 2)[..., 0]).all()
    lines = llmkit("generate", image_run.config, "--count", 2, "--jsonl").out.splitlines()
    assert [json.loads(line).get("label") for line in lines] == [None, "left", "right"]
    assert json.loads((place / "result.json").read_text())["pictures"] == 2
    assert not (place / "picture-6.png").exists()  # those of the run before are gone
    llmkit("generate", image_run.config, "--count", 4, "--to", image_run.run_dir / "elsewhere")
    assert (place / "picture-2.png").exists()  # what goes elsewhere takes nobody's place


def test_model_folders_write_where_they_are_told(image_run, tmp_path, llmkit, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = llmkit("generate", image_run.int8, "--label", "right", "--no-singles", "--json").json
    assert result["files"] == ["generated/grid.png"] and (tmp_path / "generated" / "grid.png").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept.txt").write_text("kept")
    for arguments in ([image_run.model], [image_run.config]):
        ran = llmkit("generate", *arguments, "--to", "mine", "--count", 1)
        assert ran.out.splitlines() == ["mine/grid.png", "mine/picture-1.png"]
        assert (tmp_path / "mine" / "kept.txt").read_text() == "kept"
    (tmp_path / "file").write_text("")
    ran = llmkit("generate", image_run.model, "--to", "file")
    assert ran.code == 3 and "file is a file where a folder is needed" in ran.error


def test_a_picture_depends_on_seed_label_and_place_alone(image_run):
    model = package.load(image_run.model)
    few, many = model.generate(2, seed=5, label="left"), model.generate(9, seed=5, label=["left"])
    assert few.shape == (2, 28, 28, 1) and (few == many[:2]).all()
    assert (model.generate(2, seed=6, label="left") != few).any()
    assert (model.generate(2, seed=5, label="right") != few).any()
    turns = model.generate(4, seed=5)
    assert (turns[0] == few[0]).all() and (turns[1] == model.generate(2, 5, "right")[1]).all()


def test_the_way_between_two_seeds(image_run, llmkit):
    model = package.load(image_run.model)
    way = model.between(5, 6, 4, "right")
    assert (way[0] == model.generate(1, 5, "right")[0]).all() and (way[-1] == model.generate(1, 6, "right")[0]).all()
    made = use.interpolated(np.array([3.0, 0.0]), np.array([0.0, 3.0]), 3)
    np.testing.assert_allclose(made, [[3, 0], [3 / 2**0.5, 3 / 2**0.5], [0, 3]], atol=1e-6)
    np.testing.assert_allclose(use.interpolated(np.ones(2), np.ones(2), 2), np.ones((2, 2)))
    arguments = ["generate", image_run.model, "--seed", 5, "--other-seed", 6, "--count", 4, "--json"]
    result = llmkit(*arguments, "--label", "right", "--to", image_run.run_dir / "way").json
    assert (opened(result["files"][4]) == way[3, ..., 0]).all() and result["labels"] == ["right"] * 4
    ran = llmkit(*arguments[:-1], "--label", "left", "--label", "right")
    assert ran.code == 2 and "one label, with other_seed" in ran.error


def test_a_label_never_learnt_is_refused(image_run, llmkit):
    ran = llmkit("generate", image_run.model, "--label", "up")
    assert ran.code == 2
    assert "generate.label: the model has not learnt the label 'up'; it knows: left, right" in ran.error


def test_it_generates_and_evaluates_without_torch(image_run, tmp_path):
    code = f"""
sys.argv = ["llmkit", "evaluate", {str(image_run.config)!r}, "--force"]
import llmkit; llmkit.load({str(image_run.int8)!r}).generate(2)
from llmkit.cli.main import main
try: main()
except SystemExit as ended: assert ended.code == 0
"""
    ran = without_torch(code, tmp_path)
    assert ran.returncode == 0, ran.stderr


# --- train ----------------------------------------------------------------------------------------------------------


def test_the_generator_of_least_frechet_distance_is_kept_and_grids_are_drawn_on_the_way(image_run):
    folder = experiments.read_model(image_run.model)
    records = [json.loads(line) for line in (image_run.model / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [10, 20, 30]
    best = min(records, key=lambda record: record["val_loss"])
    assert folder.result["val_loss"] == best["val_loss"] and folder.result["best_step"] == best["step"]
    assert folder.result["val_kid"] == pytest.approx(best["val_kid"])
    samples = image_run.run_dir / "work" / "train" / "samples"
    assert [path.name for path in sorted(samples.iterdir())] == [f"step-{step:08d}.png" for step in (10, 20, 30)]
    assert (image_run.model / "samples.png").read_bytes() == (samples / f"step-{best['step']:08d}.png").read_bytes()
    measured, _ = evaluate.measure(folder, Files(image_run.run_dir / "prepared"), print)
    assert measured == pytest.approx(best["val_loss"], rel=1e-3)


def test_size_is_of_what_runs(image_run):
    names = ("graph.onnx", "model.safetensors", "config.yaml", "labels.json")
    for place in (image_run.model, image_run.int8):
        assert experiments.read_model(place).size_bytes == sum((place / name).stat().st_size for name in names)
        assert (place / "features.onnx").read_bytes() == (image_run.model / "features.onnx").read_bytes()
    assert (
        experiments.read_model(image_run.int8).result["size_bytes"] == experiments.read_model(image_run.int8).size_bytes
    )


def test_an_interrupted_training_ends_with_the_same_bytes(image_run, tmp_path, monkeypatch):
    loaded = experiments.load(image_run.config, [f"run_dir={tmp_path / 'run'}"])
    prepare(loaded)
    from llmkit.tasks.image import train as learn

    step, steps = learn.ImageLearner.step, []

    def interrupted(self, rate, spent):
        steps.append(rate)
        if len(steps) == 17:
            raise KeyboardInterrupt
        return step(self, rate, spent)

    from llmkit.training import loop

    monkeypatch.setattr(loop._Run, "checkpoint_is_due", lambda self: self.progress.step == 14)
    monkeypatch.setattr(learn.ImageLearner, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(loaded)
    assert len(steps) == 17
    monkeypatch.undo()
    train(loaded)
    for name in ("model.safetensors", "labels.json", "samples.png", "metrics.jsonl", "graph.onnx"):
        assert (tmp_path / "run" / "model" / name).read_bytes() == (image_run.model / name).read_bytes(), name


def test_it_starts_from_a_trained_generator(image_run, tmp_path, llmkit):
    run_dir = tmp_path / "run"
    shutil.copytree(image_run.run_dir / "prepared", run_dir / "prepared")
    start = [f"run_dir={run_dir}", f"train.start_from={image_run.model}"]
    result = llmkit("train", image_run.config, *start, "train.steps=1", "train.learning_rate=1e-9", "--json").json
    first = experiments.read_model(image_run.model)
    assert result["val_loss"] == pytest.approx(first.result["val_loss"], rel=1e-2)
    ran = llmkit("train", image_run.config, *start, "model.width=4")
    assert ran.code == 3 and "has other sizes than the section model" in ran.error
    ran = llmkit("train", image_run.config, *start, "model.conditional=false")
    assert ran.code == 3 and "has learnt other labels than the prepared data" in ran.error


def test_training_that_diverges_keeps_the_last_good_model(image_run, tmp_path, llmkit):
    run_dir = tmp_path / "run"
    shutil.copytree(image_run.run_dir, run_dir)
    before = (run_dir / "model" / "model.safetensors").read_bytes()
    ran = llmkit("train", image_run.config, f"run_dir={run_dir}", "train.learning_rate=1e30", "train.warmup_steps=0")
    assert ran.code == 2 and "training diverged" in ran.error and "lower train.learning_rate" in ran.error
    assert (run_dir / "model" / "model.safetensors").read_bytes() == before


def test_colour_at_32_pixels_without_labels_through_every_stage(image_fresh, llmkit):
    np.save(image_fresh.pictures / "colour.npy", squares(160, 32, 3)[0])
    files = f"prepare.files={image_fresh.pictures / 'colour.npy'}"
    more = [files, "train.steps=4", "tune.trials=2", "train.translate=2", "train.penalty_every=2"]
    for stage in ("prepare", "train", "tune", "compress"):
        assert llmkit(stage, image_fresh.config, *more).code == 0
    assert llmkit("evaluate", image_fresh.config, *more, "--model", "int8", "--json").json["recall"] >= 0
    result = llmkit("generate", image_fresh.config, *more, "--json").json
    assert opened(result["files"][1]).shape == (32, 32, 3) and result["labels"] is None
    ran = llmkit("generate", image_fresh.config, *more, "--label", "7")
    assert ran.code == 2 and "has not learnt the label '7'; it knows no labels" in ran.error


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "override", "code", "message"),
    [
        (None, "", 3, "holds no picture (.png, .jpg"),
        (lambda folder: write_pictures(folder, *squares(40)), "", 3, "the val split has 4 pictures, 16 are the least"),
        (lambda folder: write_pictures(folder, *squares(40)), "prepare.resize=true", 2, "say to which size"),
        (lambda folder: write_pictures(folder, *squares(40)), "prepare.size=30", 2, "30 is not one of 28, 32"),
        (lambda folder: (folder / "a.png").write_bytes(b"\x89PNG\r\n"), "", 3, "a.png is no picture that can be read"),
        (lambda folder: write_pictures(folder, *squares(4, 40)), "", 3, "0000.png: 40×40 pixels, not 28×28 or 32×32"),
        (lambda folder: None, "prepare.files=nothing/*.png", 3, "matches no file"),
    ],
)
def test_pictures_that_cannot_be_learnt(image_fresh, llmkit, write, override, code, message):
    if write:
        write(image_fresh.pictures)
    ran = llmkit("prepare", image_fresh.config, *([override] if override else []))
    assert (ran.code, message in ran.error) == (code, True), ran.error
    assert not (image_fresh.run_dir / "prepared").exists()


def test_one_label_alone_is_left_out_with_a_warning(image_fresh, llmkit):
    pixels, _ = squares(160)
    write_pictures(image_fresh.pictures, pixels, ["one"] * 160)
    ran = llmkit("prepare", image_fresh.config, "prepare.label=folder", "--json")
    assert ran.code == 0 and ran.json["labels"] == [] and ran.json["splits"]["val"] == {"examples": 16}
    assert "warning: all pictures have the label 'one': it is left out" in ran.err


def test_a_folder_does_not_say_where_its_pictures_go(llmkit, image_run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(image_run.model, tmp_path / "stranger"))
    config = (folder / "config.yaml").read_text().replace("generate:\n", f"generate:\n  to: {tmp_path / 'home'}\n")
    forge(folder, {"config.yaml": config.encode()})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ran = llmkit("generate", folder, "--count", "1", "--no-singles", "--json")
    assert ran.json["files"] == ["generated/grid.png"]
    assert (tmp_path / "here" / "generated" / "grid.png").exists() and not (tmp_path / "home").exists()
