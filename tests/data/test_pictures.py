"""Every way to give pictures, and every kind of file that cannot be read as some, each with its message."""

import gzip
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_pictures import squares, write_pictures

from llmkit.data import pictures as sources
from llmkit.data.picture_sizes import Shape
from llmkit.errors import ConfigError, InputError

PIXELS, LABELS = squares(8, colours=3)
GREY = PIXELS[..., :1]


def read(files, *, labels=None, format="auto", label="auto", **shape):
    how = sources.Reading(format, label, (labels,) if labels else (), Shape(**shape))
    return sources.read(sources.files_of(str(files)), how, lambda *report: None)


def idx_bytes(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def csv_text(pixels, labels=None, where="last", head=False):
    rows = [",".join(map(str, picture.ravel())) for picture in pixels]
    if labels:
        rows = [
            f"{row},{label}" if where == "last" else f"{label},{row}" for row, label in zip(rows, labels, strict=True)
        ]
    if head:
        names = [f"pixel{k}" for k in range(pixels[0].size)]
        rows.insert(0, ",".join([*names, "label"] if where == "last" else ["label", *names]))
    return "\n".join(rows) + "\n"


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


def test_palettes_transparency_and_16_bits(tmp_path):
    colours = Image.fromarray(PIXELS[0])
    colours.quantize(16).save(tmp_path / "palette.png")
    assert np.abs(read(tmp_path / "palette.png").pixels[0].astype(int) - PIXELS[0]).max() < 20
    clear = np.zeros((28, 28, 4), np.uint8)
    clear[:14, :, 3] = 255  # black above, nothing below
    Image.fromarray(clear).save(tmp_path / "clear.png")
    found = read(tmp_path / "clear.png").pixels[0]
    assert (found[:14] == 0).all() and (found[14:] == 255).all()
    deep = np.full((28, 28), 0x80FF, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (read(tmp_path / "deep.png").pixels == 0x80).all()


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_bomb_is_refused_by_its_head(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for edge, said in ((50_000, ""), (12_000, ""), (5_000, "5,000 × 5,000 pixels, ")):  # the first are 7.5 GB of pixels
        head = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000))
        (tmp_path / "bomb.png").write_bytes(data + chunk(b"IEND", b""))
        assert (tmp_path / "bomb.png").stat().st_size < 20_000
        for settings in ({}, {"size": 28, "resize": True}):
            with pytest.raises(InputError, match=f"bomb.png: {said}more than the 16,777,216 (pixels )?that are read"):
                read(tmp_path, **settings)
    packed = gzip.compress(b"\0" * 70_000_000)
    (tmp_path / "bomb.npy.gz").write_bytes(packed)
    with pytest.raises(InputError, match="bomb.npy.gz unpacks to more than 67,108,864 bytes"):
        read(tmp_path / "bomb.npy.gz")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"", "a.png is no picture that can be read; mend it"),
        ("a.jpg", b"hello, this is text", "a.jpg is no picture that can be read"),
        ("a.npy", npy_bytes(GREY[..., 0])[:-5], "needs 6,272 bytes, it has 6,267; copy it anew"),
        ("a.npy", npy_bytes(np.where(GREY == 0, 0, np.nan)), "picture 1: a pixel is nan; mend the file"),
        ("a.npy", npy_bytes(GREY - 1.0), "picture 1: a pixel is -1; pixels are from 0 to 255, or from 0 to 1"),
        ("a.npy", npy_bytes(GREY[..., 0].reshape(8, 784)), r"shape \(8, 784\); pictures are \(N, H, W\)"),
        ("a.npy", npy_bytes(np.array(["a", "b"])), "numbers are needed"),
        ("a.npy", b"\x93NUMPY\1\0\x10\0{'descr': '|u1', ", "is no NPY file"),
        ("a.npy", npy_bytes(np.zeros((3, 40, 40), np.uint8)), "picture 1: 40×40 pixels, not 28×28 or 32×32"),
        ("a.idx", idx_bytes(GREY[..., 0])[:-3], r"a.idx is cut off: 6,285 bytes, 6,288 with shape \(8, 28, 28\)"),
        ("a.idx", idx_bytes(GREY[..., 0])[:9], "a.idx is cut off in its head"),
        ("a.idx", b"PK\3\4 and so on", "a.idx is no IDX file"),
        ("a.idx", b"\0\0\x0d\3" + bytes(12), "an IDX file of type 0xd; only bytes"),
        ("a.idx.gz", gzip.compress(idx_bytes(GREY[..., 0]))[:-20], "a.idx.gz cannot be read .* complete"),
        ("a.csv", csv_text(GREY)[:-4].encode(), "line 8: 78[23] columns where the first line has 784"),
        ("a.csv", b"1,2,3,4,5\n", "line 1: 5 pixels are no picture of 28×28 or 32×32"),
        ("a.csv", csv_text(GREY).replace("0,0", "0,x", 1).encode(), "line 1: 'x' is no pixel"),
        ("a.csv", csv_text(GREY).replace("0,0", "0,999", 1).encode(), "line 1: a pixel is 999"),
        ("a.csv", csv_text(GREY).replace("0,0", "0,nan", 1).encode(), "line 1: a pixel is nan"),
        ("a.csv", b"", "there is no picture in"),
        ("a.txt", b"hello", "its ending is none of .png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_files_that_hold_no_pictures(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_picture_that_is_cut_off(tmp_path):
    write_pictures(tmp_path, np.random.default_rng(0).integers(0, 256, (1, 28, 28, 3), np.uint8), ["a"])
    file = tmp_path / "a" / "0000.png"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"0000.png is damaged \("):
        read(tmp_path)


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
