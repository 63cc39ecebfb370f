"""Every way to give labelled pictures, the splits they come with, what belongs together, and what cannot be learnt."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small_pictures import squares, write_pictures

from llmkit.errors import ConfigError, InputError
from llmkit.store.files import Files
from llmkit.tasks.vision import baseline, pixels, prepare as task
from llmkit.tasks.vision.settings import PictureSplit, Prepare

PIXELS, LABELS = squares(60)
NUMBERS = np.arange(60) % 2


@pytest.fixture
def prepared(tmp_path):
    """Prepares; returns (the folder, meta.json, the warnings)."""

    def prepare(**settings):
        out, said = tmp_path / "out", []
        out.mkdir(exist_ok=True)
        split = PictureSplit(**settings.pop("split", {}))
        meta = task.prepare(Prepare(**settings, split=split), 1, out, tmp_path, lambda *report: None, said.append)
        return SimpleNamespace(files=Files(out), meta=meta, said=said)

    return prepare


def save_npz(path, **parts):
    np.savez(path, **{f"{name}_images": PIXELS[part] for name, part in parts.items()},
             **{f"{name}_labels": NUMBERS[part] for name, part in parts.items()})  # fmt: skip


def test_folders_are_labels_and_splits_are_drawn(tmp_path, prepared):
    write_pictures(tmp_path / "set", PIXELS, LABELS)
    found = prepared(files=str(tmp_path / "set"))
    assert found.meta["labels"] == ["left", "right"] and found.meta["examples"] == 60
    assert found.meta["splits"]["test"] == {"examples": 12, "left": 6, "right": 6}
    train, numbers, name = task.pictures_of(found.files, "train")
    assert train.shape == (42, 28, 28, 1) and name == "train" and not found.said
    about = pixels.read(found.files)
    assert about.mean == pytest.approx([train.mean()]) and about.deviation == pytest.approx([train.std()])
    mean = pixels.read_mean(found.files, about)
    assert (mean == np.rint(train.mean(axis=0))).all()
    scored = baseline.measure(found.files, about, train, numbers, ["left", "right"])["logistic"]
    assert scored["accuracy"] == 1.0  # left and right are told by where it is bright


def test_the_splits_of_an_archive_are_kept(tmp_path, prepared):
    save_npz(tmp_path / "a.npz", train=slice(40), val=slice(40, 50), test=slice(50, 60))
    found = prepared(files=str(tmp_path / "a.npz"))
    assert found.files.array("split.npy").tolist() == [0] * 40 + [1] * 10 + [2] * 10
    assert found.meta["labels"] == ["0", "1"]
    drawn = prepared(files=str(tmp_path / "a.npz"), split={"keep": False}).files.array("split.npy")
    assert sorted(drawn.tolist()) == [0] * 42 + [1] * 6 + [2] * 12


def test_an_archive_without_validation_pictures_gives_some_of_training(tmp_path, prepared):
    save_npz(tmp_path / "a.npz", train=slice(40), test=slice(40, 60))
    of = prepared(files=str(tmp_path / "a.npz")).files.array("split.npy")
    assert of[40:].tolist() == [2] * 20 and (of == 1).sum() == 4
    save_npz(tmp_path / "a.npz", train=slice(40), val=slice(40, 60))
    found = prepared(files=str(tmp_path / "a.npz"))
    assert "test" not in found.meta["splits"] and task.pictures_of(found.files, "test")[2] == "val"


def write_list(folder, rows):
    """Pictures of squares and a list of them."""
    folder.mkdir()
    for number, picture in enumerate(PIXELS):
        Image.fromarray(picture[..., 0]).save(folder / f"{number:02}.png")
    (folder / "list.csv").write_text("file,kind,patient,part\n" + "\n".join(rows) + "\n")
    return str(folder / "list.csv")


def test_a_list_of_pictures_with_patients_and_parts(tmp_path, prepared):
    parts = ["train"] * 40 + ["valid"] * 10 + ["test"] * 10
    file = write_list(tmp_path / "a", [f"{k:02}.png,{LABELS[k]},{k // 4},{parts[k]}" for k in range(60)])
    found = prepared(files=file, path="file", label="kind", split_column="part")
    assert found.files.array("split.npy").tolist() == [0] * 40 + [1] * 10 + [2] * 10
    assert len(found.meta["sources"]) == 61 and (found.files.array("pictures.npy") == PIXELS).all()
    found = prepared(files=file, path="file", label="kind", split={"group": "patient"})
    of = found.files.array("split.npy")
    assert all(len(set(of[k : k + 4])) == 1 for k in range(0, 60, 4)) and set(of) == {0, 1, 2}
    assert "groups.npy" in found.files


def test_a_pattern_tells_patients_by_their_files(tmp_path, prepared):
    for k, picture in enumerate(PIXELS):
        (tmp_path / "set" / LABELS[k]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(tmp_path / "set" / LABELS[k] / f"patient{k % 20}_{k}.png")
    found = prepared(files=str(tmp_path / "set"), split={"group": r"(patient\d+)_"})
    groups, of = found.files.array("groups.npy"), found.files.array("split.npy")
    assert len(set(groups)) == 20 and all(len(set(of[groups == group])) == 1 for group in range(20))
    with pytest.raises(InputError, match="the pattern .* is not in it; change the pattern"):
        prepared(files=str(tmp_path / "set"), split={"group": r"(person\d+)"})


def test_copies_are_told_and_kept_together(tmp_path, prepared):
    pictures, labels = PIXELS.copy(), list(LABELS)
    pictures[20:40] = pictures[:20]
    pictures[59], labels[59] = pictures[0], "right"
    write_pictures(tmp_path / "set", pictures, labels)
    found = prepared(files=str(tmp_path / "set"))
    assert "1 pictures have a copy of another label, such as " in found.said[0] and "0000.png and " in found.said[0]
    assert "pictures that validate and test are copies of training pictures" in found.said[1]
    assert len(prepared(files=str(tmp_path / "set"), split={"unique": True}).said) == 1


def test_sizes_mixed_are_scaled_where_it_is_said(tmp_path, prepared):
    write_pictures(tmp_path / "set", PIXELS[:30], LABELS[:30])
    write_pictures(tmp_path / "set" / "more", np.repeat(PIXELS[30:], 2, axis=2), LABELS[30:])
    with pytest.raises(InputError, match="56×28 pixels, not 16×16 to 128×128; to scale and crop pictures"):
        prepared(files=str(tmp_path / "set"))
    found = prepared(files=str(tmp_path / "set"), size=40, resize=True)
    assert found.meta["size"] == 40 and found.files.array("pictures.npy").shape == (60, 40, 40, 1)


def test_kinds_of_pictures_as_cameras_and_scanners_make_them(tmp_path, prepared):
    """16 bit, palette, transparent, CMYK, animated, turned: each is read, and what was done is told."""
    rgb = [Image.fromarray(picture) for picture in squares(60, colours=3)[0]]
    rgb[0] = rgb[0].convert("P")
    rgb[1].putalpha(128)
    rgb[2] = rgb[2].convert("CMYK")
    for number, picture in enumerate(rgb):
        folder = tmp_path / "set" / LABELS[number]
        folder.mkdir(parents=True, exist_ok=True)
        name = folder / f"{number:02}.{'tif' if number == 2 else 'gif' if number == 3 else 'png'}"
        more = {"save_all": True, "append_images": [rgb[4]]} if number == 3 else {}
        if number == 5:
            exif = Image.Exif()
            exif[0x0112] = 6
            more = {"exif": exif}
        picture.save(name, **more)
    found = prepared(files=str(tmp_path / "set"), colour="grey")
    assert found.meta["examples"] == 60 and found.meta["colours"] == 1
    text = "\n".join(found.said)
    for part in ("1 pictures are transparent", "1 pictures are animated", "1 pictures are turned upright"):
        assert part in text
    Image.fromarray(np.full((28, 28), 40_000, np.uint16)).save(tmp_path / "set" / "left" / "deep.png")
    found = prepared(files=str(tmp_path / "set"), colour="grey")
    assert "pictures of more than 8 bits are taken for 16 bits" in "\n".join(found.said)
    assert pixels.read(found.files).bits == 16


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"resize": True}, ConfigError, "prepare.resize: say to which size"),
        ({"split_column": "a"}, ConfigError, "prepare.split_column: it is for lists of pictures"),
        ({"split": {"group": "("}}, ConfigError, "is no regular expression"),
        ({"split": {"group": "x"}}, ConfigError, "x needs one pair of parentheses"),
        ({"split": {"group": "(x)", "unique": True}}, ConfigError, "unique and group are given"),
        ({"label": "none"}, ConfigError, "nothing tells the label; let pictures lie in a folder for each label"),
        ({"files": "SET/left"}, ConfigError, "left/0000.png: nothing tells the label"),
        ({"files": "SET/left", "label": "folder"}, InputError, "all 30 examples have the label 'left'"),
        ({"files": "SET/none"}, InputError, "there is no file"),
    ],
)
def test_what_cannot_be_learnt(tmp_path, prepared, settings, error, message):
    write_pictures(tmp_path / "set", PIXELS, LABELS)
    files = settings.pop("files", "SET").replace("SET", str(tmp_path / "set"))
    with pytest.raises(error, match=message.replace("(", r"\(")):
        prepared(files=files, **settings)


def test_a_broken_picture_among_many_is_named(tmp_path, prepared):
    write_pictures(tmp_path / "set", PIXELS, LABELS)
    broken = tmp_path / "set" / "left" / "0004.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(InputError, match=r"left/0004.png .*; mend it or leave it out"):
        prepared(files=str(tmp_path / "set"))


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (
            ["none.png,a,1,train"],
            {},
            "list.csv, line 2: there is no picture .*none.png; paths are relative to the list",
        ),
        (["01.png,,1,train"], {}, r"line 2: the column 'kind' \(prepare.label\) is empty"),
        (["01.png,a,1,rest"], {"split_column": "part"}, "line 2: 'rest' is no split; train, val and test are"),
        (
            ["01.png,a,1,train"],
            {"label": "auto"},
            "line 2: name the column of the label in prepare.label; there are: fi",
        ),
        (["01.png,a,1,train"], {"path": "name"}, r"line 2: there is no column 'name' \(prepare.path\)"),
        ([], {}, "there is no row in"),
    ],
)
def test_lists_that_are_wrong(tmp_path, prepared, rows, settings, message):
    file = write_list(tmp_path / "a", rows)
    with pytest.raises(InputError, match=message):
        prepared(files=file, **({"path": "file", "label": "kind"} | settings))


def test_a_label_without_pictures_in_a_split_is_told(tmp_path, prepared):
    np.savez(
        tmp_path / "a.npz",
        train_images=PIXELS[:40],
        train_labels=NUMBERS[:40],
        test_images=PIXELS[40:],
        test_labels=np.zeros(20, np.int64),
    )
    found = prepared(files=str(tmp_path / "a.npz"))
    assert "some split has no example of the label '1': figures say nothing of it" in found.said[-1]


def test_learnt_files_that_are_damaged_are_named(tmp_path, prepared):
    write_pictures(tmp_path / "set", PIXELS, LABELS)
    files = prepared(files=str(tmp_path / "set")).files
    about = pixels.read(files)
    for change in ({"edge": 500}, {"colours": 2}, {"mean": []}, {"deviation": [0.0]}, {"bits": 99}):
        (files.path / pixels.FILE).write_text(json.dumps(vars(about) | change))
        with pytest.raises(InputError, match=r"pixels.json is damaged: it is not of pictures that are read"):
            pixels.read(files)
    np.save(files.path / pixels.MEAN, np.zeros((28, 28), np.uint8))
    with pytest.raises(InputError, match="mean.npy is damaged"):
        pixels.read_mean(files, about)
    np.save(files.path / baseline.FILE, np.zeros((3, 2), np.float32))
    with pytest.raises(InputError, match="baseline.npy is damaged: it is of other pictures or labels"):
        baseline.measure(files, about, PIXELS, NUMBERS, ["left", "right"])
