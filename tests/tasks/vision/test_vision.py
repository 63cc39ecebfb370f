"""The task from pictures to labels: stages on the command line and in a program, mistakes and edges."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pictures import npy_bytes, squares, write_pictures
from small_runs import without_torch

import llmkit as package
from llmkit.errors import ConfigError, InputError
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments
from llmkit.tasks.vision.train import learner

PIXELS, LABELS = squares(8, seed=5)


def write_all(folder: Path) -> list[Path]:
    write_pictures(folder, PIXELS, LABELS)
    return sorted(folder.rglob("*.png"))


def test_pictures_are_told_apart_and_the_figures_say_so(vision_run, llmkit):
    found = llmkit("evaluate", vision_run.config, "--json").json
    assert found["roc_auc"] > 0.95 and found["examples"] == 32 and found["split"] == "test"
    low, high = found["roc_auc_interval"]
    assert low <= found["roc_auc"] <= high
    assert found["sensitivity_at"] == {"specificity": 0.9, "sensitivity": found["sensitivity_at"]["sensitivity"]}
    assert found["baselines"]["logistic"]["accuracy"] == 1.0
    assert sum(map(sum, (row.values() for row in found["confusion"].values()))) == 32


def test_members_are_told_from_others(vision_run, llmkit):
    found = llmkit("evaluate", vision_run.model, "evaluate.membership=20", "--json").json
    assert 0.2 < found["membership_auc"] < 0.9
    assert found["membership_examples"] == [20, 20]


def test_what_predicts_needs_no_torch(vision_run, tmp_path):
    np.save(tmp_path / "some.npy", PIXELS)
    ran = without_torch(
        f"import llmkit, numpy; model = llmkit.load({str(vision_run.model)!r});"
        f"print(len(model.predict(numpy.load({str(tmp_path / 'some.npy')!r}))))",
        tmp_path,
    )
    assert ran.stdout == "8\n", ran.stderr


def test_files_folders_globs_lists_and_arrays_give_the_same_answers(vision_run, llmkit, tmp_path):
    files = write_all(tmp_path / "new")
    model = package.load(vision_run.model)
    expected = [one["probability"] for one in model.predict(files)]
    order = [int(path.stem) for path in files]
    assert [one["probability"] for one in model.predict(PIXELS[order])] == expected
    (tmp_path / "names.txt").write_text("\n".join(map(str, files)) + "\n")
    (tmp_path / "some.npy").write_bytes(npy_bytes(PIXELS[order]))
    np.savez(tmp_path / "some.npz", images=PIXELS[order])
    ways = [
        ["--prompt", tmp_path / "new"],
        ["--prompt", f"{tmp_path}/new/*/*.png"],
        ["--prompt-file", tmp_path / "names.txt"],
        ["--prompt-file", tmp_path / "some.npy"],
        ["--prompt-file", tmp_path / "some.npz"],
        ["--prompt", files[0], "--prompt", tmp_path / "new" / "left", "--prompt", tmp_path / "new" / "right"],
    ]
    for way in ways[:-1]:
        rows = llmkit("generate", vision_run.model, *way, "--json").json["predictions"]
        assert [row["probability"] for row in rows] == expected, way
        assert set(rows[0]) == {"file", "label", "probability", "probabilities"}
    assert len(llmkit("generate", vision_run.model, *ways[-1], "--json").json["predictions"]) == 9


def test_standard_input_is_a_picture_or_names_of_some(vision_run, llmkit, tmp_path):
    files = write_all(tmp_path / "new")
    expected = package.load(vision_run.model).predict(files[0])
    ran = llmkit("generate", vision_run.model, "--prompt", "-", "--jsonl", stdin=files[0].read_bytes())
    assert json.loads(ran.out) == {"file": "standard input"} | expected
    ran = llmkit("generate", vision_run.model, "--prompt-file", "-", "--jsonl", stdin=f"{files[0]}\n\n".encode())
    assert json.loads(ran.out) == {"file": str(files[0])} | expected
    ran = llmkit("generate", vision_run.model, "--prompt", "-", stdin=b"\x89PNG\0\xff nothing")
    assert ran.code == 3 and ran.error.startswith("standard input is no picture that can be read")
    ran = llmkit("generate", vision_run.model, "--prompt", "-", stdin=b"none.png\n")
    assert ran.code == 3 and "standard input, line 1: there is no picture none.png" in ran.error
    ran = llmkit("generate", vision_run.model, "--prompt", "-", stdin=b"")
    assert ran.code == 3 and "standard input names no picture" in ran.error


def test_pictures_of_any_size_and_colour_become_what_the_model_takes(vision_run):
    model = package.load(vision_run.model)
    colour = np.repeat(PIXELS[0], 3, axis=2)
    large = np.asarray(Image.fromarray(PIXELS[0, ..., 0]).resize((280, 280), Image.Resampling.NEAREST))
    [plain, rgb, scaled, fractions] = model.predict([PIXELS[0], colour, large, PIXELS[0] / 255])
    assert plain == rgb == fractions and scaled["label"] == plain["label"]
    assert model.predict(PIXELS[0]) == model.predict(PIXELS[0, ..., 0]) == plain
    assert model.predict(Image.fromarray(PIXELS[0, ..., 0])) == plain


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (3, "predict takes an example or a list of examples, not int"),
        ([3], "picture 1: a picture file or an array"),
        ([np.zeros((2, 2, 2, 2))], "picture 1: .* is needed, not one of shape"),
        ([np.zeros((28, 28, 4), np.uint8)], r"picture 1: an array of shape \(28, 28, 4\); pictures are \(H, W\)"),
        ([np.zeros((0, 28), np.uint8)], "picture 1: an array of shape"),
        ([np.full((28, 28), 300.5)], "a pixel is 300.5"),
        ("none.png", "none.png cannot be read"),
    ],
)
def test_what_is_no_picture(vision_run, request_, message):
    with pytest.raises(InputError, match=message):
        package.load(vision_run.model).predict(request_)


def test_no_pictures_and_files_that_are_not_there(vision_run, llmkit, tmp_path):
    ran = llmkit("generate", vision_run.model)
    assert ran.code == 2 and "there are no pictures to predict" in ran.error
    ran = llmkit("generate", vision_run.model, "--prompt", tmp_path / "none.png")
    assert ran.code == 3 and "--prompt: there is no picture" in ran.error


def test_explanations_add_up_and_show_the_picture(vision_run, llmkit, tmp_path):
    model = package.load(vision_run.model)
    found = model.explain(PIXELS[0])
    about = found["explanation"]
    assert about["kind"] == "patches" and len(about["parts"]) == 49
    added = sum(part["contribution"] for part in about["parts"])
    assert about["baseline"] + added == pytest.approx(found["probability"], abs=1e-5)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(about["picture"]))))
    assert (shown == PIXELS[0, ..., 0]).all()
    strongest = max(about["parts"], key=lambda part: abs(part["contribution"]))
    assert strongest["column"] < 16  # the square is on the left
    file = write_all(tmp_path / "new")[0]
    ran = llmkit("generate", vision_run.model, "--prompt", file, "--explain", "--output", "html")
    assert ran.code == 0 and ran.out.count("<svg") == 1 and "data:image/png;base64," in ran.out
    ran = llmkit("generate", vision_run.model, "--prompt", file, "--explain")
    assert "the mean picture" in ran.out and "patch at row" in ran.out
    scored = llmkit("evaluate", vision_run.config, "evaluate.explain=10", "--json").json["explanations"]
    assert scored["gap"] < 0.01 and scored["deletion_auc"] < scored["deletion_auc_of_random"]


def test_the_report_shows_the_worst_mistakes(vision_run, llmkit):
    llmkit("evaluate", vision_run.config)
    text = (vision_run.run_dir / "evaluated" / "model" / "report.html").read_text()
    assert "ROC of right" in text and "Worst mistakes" in text and "logistic" in text
    assert "and 140 more" in text and text.count("0000.png") == 1  # of 160 files


def test_other_pictures_are_scored(vision_run, llmkit, tmp_path):
    write_all(tmp_path / "new")
    found = llmkit("evaluate", vision_run.model, "--on", tmp_path / "new", "--json").json
    assert found["examples"] == 8 and found["split"] == "files" and found["roc_auc"] > 0.9
    np.savez(tmp_path / "a.npz", images=np.repeat(np.repeat(PIXELS, 2, axis=1), 2, axis=2), labels=[3] * 8)
    ran = llmkit("evaluate", vision_run.model, "--on", tmp_path / "a.npz")
    assert ran.code == 3 and "the label '3' was never seen in training; the model knows: left, right" in ran.error


def test_training_again_gives_the_same_bytes_and_goes_on_where_it_was(vision_run, tmp_path):
    from llmkit.store import artifacts

    again = experiments.load(vision_run.config, [f"run_dir={tmp_path / 'again'}"])
    shutil.copytree(vision_run.run_dir / "prepared", tmp_path / "again" / "prepared")
    train(again)
    for name in ("model.safetensors", "graph.onnx", "labels.json"):
        assert (tmp_path / "again" / "model" / name).read_bytes() == (vision_run.model / name).read_bytes(), name
    assert artifacts.read(tmp_path / "again" / "model")


def test_a_model_goes_on_from_another_one_with_other_labels_too(vision_run, vision_fresh, llmkit):
    config, start = vision_fresh.config, f"train.start_from={vision_run.model}"
    assert llmkit("prepare", config).code == 0
    ran = llmkit("train", config, start, "train.steps=1", "train.learning_rate=1e-9", "--json")
    assert ran.json["val_accuracy"] > 0.7
    for picture in (vision_fresh.pictures / "left").glob("00[0-1]*.png"):
        shutil.move(picture, picture.with_name("x" + picture.name))
    (vision_fresh.pictures / "left").rename(vision_fresh.pictures / "sinister")
    assert llmkit("prepare", config).code == 0
    ran = llmkit("train", config, start, "train.steps=1", "--json")
    assert ran.code == 0 and "has other labels; the last layer begins anew" in ran.err
    ran = llmkit("train", config, start, "model.width=16")
    assert ran.code == 3 and "has other sizes than the section model" in ran.error


def test_folds_learn_from_their_own_training_pictures(vision_fresh, llmkit):
    assert llmkit("prepare", vision_fresh.config).code == 0
    found = llmkit("train", vision_fresh.config, "train.folds=2", "train.steps=8", "--json").json
    assert len(found["folds"]) == 2 and 0 <= found["mean_accuracy"] <= 1


def test_a_training_in_several_processes_is_refused(vision_run):
    import torch
    from small_runs import setup_of

    from llmkit.store.files import Files
    from llmkit.training.devices import Hardware

    made = learner(
        Files(vision_run.run_dir / "prepared"), setup_of(vision_run).settings, Hardware(torch.device("cpu")), print
    )
    with pytest.raises(ConfigError, match="task vision trains in one process"):
        made.distribute(None)
