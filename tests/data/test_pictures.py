"""Every way to give pictures and their labels: kinds of files, folders, several sizes and colours among each other."""

import gzip

import numpy as np
import pytest
from PIL import Image
from small_pictures import csv_text, idx_bytes, npy_bytes, squares, write_pictures

from llmkit.data import pictures as sources
from llmkit.data.picture_sizes import Shape
from llmkit.errors import ConfigError, InputError

PIXELS, LABELS = squares(8, colours=3)
GREY = PIXELS[..., :1]


def read(files, *, labels=None, format="auto", label="auto", said=None, **shape):
    warn = (said if said is not None else []).append
    how = sources.Reading(format, label, (labels,) if labels else (), Shape(**shape))
    return sources.read(sources.files_of(str(files), warn), how, lambda *report: None, warn)


# --- what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [PIXELS, GREY])
def test_a_folder_of_pictures_is_labelled_by_its_folders(tmp_path, pixels):
    write_pictures(tmp_path, pixels, LABELS)
    (tmp_path / "left" / "notes.txt").write_text("not a picture")
    found = read(tmp_path)
    order = [*range(0, 8, 2), *range(1, 8, 2)]  # left comes before right
    assert (found.pixels == pixels[order]).all() and found.labels == [LABELS[k] for k in order]
    assert read(tmp_path, label="none").labels is None
    assert read(f"{tmp_path}/left/*.png").labels is None  # one folder alone tells nothing
    assert read(f"{tmp_path}/left/*.png", label="folder").labels == ["left"] * 4


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_and_their_labels(tmp_path, packed):
    numbers = np.arange(8, dtype=np.uint8) % 2
    files = {
        "images-idx3-ubyte": idx_bytes(GREY[..., 0]),
        "labels-idx1-ubyte": idx_bytes(numbers),
        "grey.npy": npy_bytes(GREY[..., 0]),
        "labels.npy": npy_bytes(numbers.astype(np.int64)),
        "colour.npy": npy_bytes(PIXELS),
        "first.npy": npy_bytes(np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2))),
        "fractions.npy": npy_bytes((PIXELS / 255).astype(np.float32)),
        "fortran.npy": npy_bytes(np.asfortranarray(PIXELS)),
    }
    end = ".gz" if packed else ""
    for name, data in files.items():
        (tmp_path / (name + end)).write_bytes(gzip.compress(data) if packed else data)
    grey = read(tmp_path / f"images-idx3-ubyte{end}", labels=tmp_path / f"labels-idx1-ubyte{end}")
    assert (grey.pixels == GREY).all() and grey.labels == ["0", "1"] * 4
    again = read(tmp_path / f"grey.npy{end}", labels=tmp_path / f"labels.npy{end}")
    assert (again.pixels == GREY).all() and again.labels == grey.labels
    for name in ("colour", "first", "fractions", "fortran"):
        assert (read(tmp_path / f"{name}.npy{end}").pixels == PIXELS).all(), name


@pytest.mark.parametrize("where", ["first", "last"])
def test_rows_of_pixels(tmp_path, where):
    file = tmp_path / "rows.csv"
    file.write_text(csv_text(GREY, LABELS, where, head=True))
    found = read(file)
    assert (found.pixels == GREY).all() and found.labels == LABELS  # by the header
    file.write_text(csv_text(GREY, LABELS, where))
    assert read(file, label=where).labels == LABELS
    with pytest.raises(InputError, match="785 columns are 784 pixels and a label; say where it is: prepare.label"):
        read(file)
    file.write_text(csv_text(PIXELS))
    found = read(file)
    assert (found.pixels == PIXELS).all() and found.labels is None
    assert found.places[1] == f"{file}, line 2"


def test_mixed_sizes_are_refused_or_scaled_and_cropped(tmp_path):
    write_pictures(tmp_path, PIXELS[:2], LABELS[:2])
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[:, 20:70] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "right" / "wide.png")
    with pytest.raises(InputError, match=r"wide.png: 90×50 pixels, not 28×28.*set prepare.size=28 \(or 32\) and"):
        read(tmp_path)
    found = read(tmp_path, size=32, resize=True)
    assert found.pixels.shape == (3, 32, 32, 3)
    assert (found.pixels[2, :, 2:-2] == (200, 100, 50)).all()  # its middle
    with pytest.raises(InputError, match=r"0000.png: 28×28 pixels, not 32×32 as the first one or as prepare.size says"):
        read(tmp_path, size=32)


def test_colours_are_refused_among_grey_or_converted(tmp_path):
    write_pictures(tmp_path, GREY[:2], ["a", "b"])
    Image.fromarray(PIXELS[0]).save(tmp_path / "b" / "z.png")
    with pytest.raises(InputError, match=r"z.png is coloured, .*0000.png is grey; set prepare.colour=grey or rgb"):
        read(tmp_path)
    assert read(tmp_path, colour="grey").pixels.shape == (3, 28, 28, 1)
    assert (read(tmp_path, colour="rgb").pixels[2] == PIXELS[0]).all()


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"", "a.png is no picture that can be read; mend it"),
        ("a.npy", npy_bytes(GREY - 1.0), "a.npy, picture 1: a pixel is -1; pixels are from 0 to 255, or from 0 to 1"),
        ("a.npy", npy_bytes(np.zeros((3, 40, 40), np.uint8)), "a.npy, picture 1: 40×40 pixels, not 28×28 or 32×32"),
        ("a.idx", b"PK\3\4 and so on", "a.idx is no IDX file"),
        ("a.csv", b"1,2,3,4,5\n", "a.csv, line 1: 5 pixels are no picture of 28×28 or 32×32"),
        ("a.csv", b"", "there is no picture in .*a.csv; name other files in prepare.files"),
        ("a.png.gz", b"", "a.png.gz: its ending is none of .png"),
        ("a.txt", b"hello", "its ending is none of .png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_files_that_hold_no_pictures(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_folders_and_labels_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"the folder .* holds no picture \(.png"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="prepare.files is empty"):
        read("")
    (tmp_path / "a.npy").write_bytes(npy_bytes(GREY[..., 0]))
    (tmp_path / "labels.npy").write_bytes(npy_bytes(np.arange(7)))
    with pytest.raises(InputError, match="prepare.labels has 7 labels for 8 pictures"):
        read(tmp_path / "a.npy", labels=tmp_path / "labels.npy")
    with pytest.raises(ConfigError, match="prepare.label: folder: these files have no such labels"):
        read(tmp_path / "a.npy", label="folder")
    with pytest.raises(InputError, match="labels are one number for each picture"):
        read(tmp_path / "a.npy", labels=tmp_path / "a.npy")


# --- what is told -----------------------------------------------------------------------------------------------


def test_what_was_done_is_told_once_with_its_count(tmp_path):
    said = []
    for number in range(3):
        values = np.zeros((28, 28), np.uint16)
        values[number, 0] = 4000
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    (tmp_path / "model.bin").write_bytes(b"no picture")
    assert read(tmp_path, said=said).pixels.max() == 250
    assert said == [
        f"1 files in {tmp_path} are no pictures by their endings and are left out, such as {tmp_path}/model.bin",
        "pictures of more than 8 bits are taken for 12 bits",
    ]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 28, 28), 9, np.uint8), "all 4 pictures are the same: there is nothing to learn from them"),
        (np.eye(28, dtype=np.uint8)[None].repeat(2, 0) * np.array([20, 30], np.uint8)[:, None, None], "nearly black"),
    ],
)
def test_pictures_without_anything_to_see_are_told(tmp_path, pixels, message):
    (tmp_path / "a.npy").write_bytes(npy_bytes(pixels))
    said = []
    read(tmp_path / "a.npy", said=said)
    assert len(said) == 1 and message in said[0]


def test_a_linked_folder_is_a_label_of_its_own(tmp_path):
    write_pictures(tmp_path / "all", GREY, LABELS)
    (tmp_path / "all" / "west").symlink_to(tmp_path / "all" / "left")
    found = read(tmp_path / "all")
    assert sorted(set(found.labels)) == ["left", "right", "west"] and len(found.places) == 12


def test_splits_of_archives_and_of_folders(tmp_path):
    numbers = np.arange(8) % 2
    np.savez(
        tmp_path / "a.npz", train_images=GREY[:6], train_labels=numbers[:6], test_images=GREY[6:], y_test=numbers[6:]
    )
    found = read(tmp_path / "a.npz")
    assert found.splits == ["train"] * 6 + ["test"] * 2 and found.labels == ["0", "1"] * 4
    assert (found.pixels == GREY).all() and found.places[7] == f"{tmp_path}/a.npz:test_images.npy, picture 2"
    write_pictures(tmp_path / "set" / "train", GREY[:6], LABELS[:6])
    assert read(tmp_path / "set").splits is None  # all of them train: nobody has split anything
    write_pictures(tmp_path / "set" / "Validation", GREY[6:], LABELS[6:])
    found = read(tmp_path / "set")
    assert sorted(found.splits) == ["train"] * 6 + ["val"] * 2 and set(found.labels) == {"left", "right"}


def test_other_sizes_and_a_column_by_its_name(tmp_path):
    large, labels = squares(4, edge=40)
    file = tmp_path / "rows.csv"
    file.write_text(csv_text(large, labels, head=True).replace("label", "Kind"))
    with pytest.raises(InputError, match="1,600 pixels are no picture of 28×28 or 32×32, grey or colour"):
        read(file, label="kind")
    found = read(file, label="kind", sizes=range(16, 129))
    assert found.labels == labels and (found.pixels == large).all()
    write_pictures(tmp_path / "set", np.zeros((2, 8, 8, 1), np.uint8), ["a", "b"])
    with pytest.raises(
        InputError, match="8×8 pixels, not 16×16 to 128×128; to scale and crop pictures, set prepare.si"
    ):
        read(tmp_path / "set", sizes=range(16, 129))


def test_pictures_of_more_than_8_bits_are_taken_as_they_were(tmp_path):
    for number, value in enumerate((4000, 1000)):
        Image.fromarray(np.full((28, 28), value, np.uint16)).save(tmp_path / f"{number}.png")
    assert read(tmp_path).bits == 12
    how = sources.Reading(bits=12)
    [one] = sources.read([tmp_path / "1.png"], how, lambda *report: None, pytest.fail).pixels
    assert (one == 1000 >> 4).all()  # not of 10 bits, though by itself it could be
