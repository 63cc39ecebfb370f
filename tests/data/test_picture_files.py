"""picture_files.py: a file of one picture to its pixels; what is damaged, or would unpack to gigabytes, is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_pictures import squares

from llmkit.data.picture_files import bits_of, deepest, read_picture, said
from llmkit.errors import InputError

[COLOURED, *_], _ = squares(1, colours=3)
NOISE = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "webp", "jpg", "jfif", "tif", "ppm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_each_kind(tmp_path, ending, channels):
    path, pixels = tmp_path / f"a.{ending}", COLOURED[..., :channels]
    Image.fromarray(pixels.squeeze()).save(path, **({"lossless": True} if ending == "webp" else {}))
    found = read_picture(path, {1: "grey", 3: "rgb"}[channels], resize=False)
    assert found.shape == (28, 28, channels) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).mean() < (10 if ending in ("jpg", "jfif") else 1)
    if ending in ("png", "bmp"):
        assert (read_picture(path, "auto", resize=False) == pixels).all()


def test_colours_as_they_are_or_as_they_are_wanted(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((28, 28, 3), (200, 100, 50), np.uint8)).save(path)
    assert read_picture(path, "auto", resize=False)[0, 0].tolist() == [200, 100, 50]
    grey = read_picture(path, "grey", resize=False)
    assert grey[0, 0].tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]  # ITU-R 601
    Image.fromarray(grey[..., 0]).save(path)
    assert read_picture(path, "rgb", resize=False)[0, 0].tolist() == [124, 124, 124]


def test_palettes_transparency_and_16_bits(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(COLOURED).quantize(16).save(path)
    assert np.abs(read_picture(path, "auto", resize=False).astype(int) - COLOURED).max() < 20
    clear = np.zeros((28, 28, 4), np.uint8)
    clear[:14, :, 3] = 255  # black above, nothing below
    Image.fromarray(clear).save(path)
    found = read_picture(path, "auto", resize=False)
    assert (found[:14] == 0).all() and (found[14:] == 255).all() and found.shape == (28, 28, 3)
    clear[..., 3] = 51  # a fifth of black on white
    Image.fromarray(clear).save(path)
    assert (read_picture(path, "auto", resize=False) == 204).all()
    Image.fromarray(np.full((28, 28), 0x80FF, np.uint16)).save(path)
    assert (read_picture(path, "auto", resize=False) == 0x80).all()


def test_a_picture_that_is_no_square(tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.zeros((50, 90), np.uint8)).save(path)
    with pytest.raises(InputError, match="wide.png: 90×50 pixels, not 28×28 or 32×32; to scale and crop pictures, set"):
        read_picture(path, "auto", resize=False)
    assert read_picture(path, "auto", resize=True).shape == (50, 90, 1)


def test_a_bomb_is_refused_by_its_head(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compress(b"\0" * 10_000_000)
    for edge, size in ((50_000, ""), (12_000, ""), (5_000, "5,000 × 5,000 pixels, ")):  # the first are 7.5 GB of pixels
        head = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed)
        (tmp_path / "bomb.png").write_bytes(data + chunk(b"IEND", b""))
        assert (tmp_path / "bomb.png").stat().st_size < 20_000
        for resize in (False, True):
            with pytest.raises(InputError, match=f"bomb.png: {size}more than the 16,777,216 (pixels )?that are read"):
                read_picture(tmp_path / "bomb.png", "auto", resize)


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.jpg is no picture that can be read.*; mend it or leave it out$"):
        read_picture(path, "auto", resize=False)


def test_a_picture_that_is_cut_off(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(NOISE).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"a.png is damaged \(.*\); mend it or leave it out$"):
        read_picture(path, "auto", resize=False)


def test_a_kind_that_no_decoder_of_these_reads(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.tga")
    with pytest.raises(InputError, match="a.tga is no picture that can be read"):
        read_picture(tmp_path / "a.tga", "auto", resize=False)


def test_what_another_librarys_error_says():
    assert said(ValueError("first\nsecond")) == "first"
    assert said(ValueError("long " * 99)) == ("long " * 99)[:120]
    assert said(KeyError()) == "KeyError"


def test_a_picture_is_turned_upright(tmp_path):
    """EXIF says that what is stored lies on its side: the camera was turned."""
    path, said = tmp_path / "a.jpg", []
    stored = np.zeros((28, 28), np.uint8)
    stored[:, :14] = 255  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(stored).save(path, exif=exif, quality=100)
    found = read_picture(path, "auto", resize=False, tell=said.append)
    assert found[:13].min() > 200 and found[15:].max() < 50  # the upper half now
    assert said == ["are turned upright as their EXIF data says"]


@pytest.mark.parametrize(("drawn", "under", "paper"), [(255, "black", 0), (0, "white", 255)])
def test_what_is_drawn_shows_on_what_is_clear(tmp_path, drawn, under, paper):
    path, said = tmp_path / "a.png", []
    picture = np.full((28, 28, 4), drawn, np.uint8)
    picture[..., 3] = 0
    picture[:14, :, 3] = 255
    Image.fromarray(picture).save(path)
    found = read_picture(path, "grey", resize=False, tell=said.append)
    assert (found[:14] == drawn).all() and (found[14:] == paper).all()
    assert said == [f"are transparent: put on {under}"]


def test_of_an_animation_the_first_frame(tmp_path):
    path, said = tmp_path / "a.gif", []
    frames = [Image.fromarray(np.full((28, 28), value, np.uint8)) for value in (10, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_picture(path, "grey", resize=False, tell=said.append) == 10).all()
    assert said == ["are animated or have several pages: the first is taken"]


def test_the_depth_of_pictures_of_more_than_8_bits(tmp_path):
    for number, largest in enumerate((900, 4000)):
        values = np.zeros((28, 28), np.uint16)
        values[0, 0] = largest
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    Image.fromarray(NOISE).save(tmp_path / "2.png")
    assert deepest([tmp_path / f"{number}.png" for number in range(4)]) == 4000
    assert [bits_of(largest) for largest in (0, 255, 256, 4000, 4096, 65535)] == [8, 8, 10, 12, 14, 16]
    assert read_picture(tmp_path / "1.png", "auto", resize=False, bits=12)[0, 0].tolist() == [4000 >> 4]
