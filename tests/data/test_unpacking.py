"""unpacking.py: bytes of files, packed or not; what is damaged, or would unpack to too much, is refused by name."""

import gzip
import io
import json
import zipfile

import pytest

from llmkit.data import unpacking
from llmkit.data.unpacking import ending, read_bytes, unpacked
from llmkit.errors import InputError

TEXT = json.dumps(list(range(2000))).encode()
ZEROS = b"a" * (1 << 20)  # packs about 1 : 1000


def contents(data: bytes, name: str) -> list[tuple[bytes, str, str]]:
    return [(b"".join(blocks), label, inner) for blocks, label, inner in unpacked(io.BytesIO(data), name)]


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_a_file_as_it_is_and_its_gzip(tmp_path):
    assert contents(TEXT, "a.txt") == [(TEXT, "a.txt", "a.txt")]
    assert contents(gzip.compress(TEXT), "a.csv.GZ") == [(TEXT, "a.csv.GZ", "a.csv")]
    for name, data in (("a.idx", TEXT), ("a.idx.gz", gzip.compress(TEXT))):
        (tmp_path / name).write_bytes(data)
        assert read_bytes(tmp_path / name) == TEXT
    with pytest.raises(InputError, match=r"gone\.gz cannot be read"):
        read_bytes(tmp_path / "gone.gz")


@pytest.mark.parametrize(("name", "expected"), [("a.TXT.Gz", ".gz"), ("a", ""), (".gz", ""), ("b.c/a", "")])
def test_the_ending_of_a_name(name, expected):
    assert ending(name) == expected


def test_blocks_are_no_longer_than_one_in_memory(monkeypatch):
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 300)
    for data, name in ((TEXT, "a.txt"), (gzip.compress(TEXT), "a.gz"), (zipped({"a": TEXT}), "a.zip")):
        [blocks] = [list(blocks) for blocks, *_ in unpacked(io.BytesIO(data), name)]
        assert b"".join(blocks) == TEXT
        assert max(map(len, blocks)) == 300


def test_zip_members_in_the_order_of_their_names_hidden_ones_left_out():
    members = {
        "b/two.txt": b"two",
        "a.txt": b"one",
        "rows.csv.gz": gzip.compress(b"three"),
        "__MACOSX/a.txt": b"no",
        ".hidden": b"no",
        "b/.DS_Store": b"no",
        "../../evil.txt": b"four",  # names that are never used as paths
        "line\nend.txt": b"five",
        "empty/": b"",
    }
    assert contents(zipped(members), "c.zip") == [
        (b"four", "c.zip:../../evil.txt", "c.zip:../../evil.txt"),
        (b"one", "c.zip:a.txt", "c.zip:a.txt"),
        (b"two", "c.zip:b/two.txt", "c.zip:b/two.txt"),
        (b"five", "c.zip:line?end.txt", "c.zip:line?end.txt"),
        (b"three", "c.zip:rows.csv.gz", "c.zip:rows.csv"),
    ]


@pytest.mark.parametrize("keep_bytes", [10, 30, -5])
@pytest.mark.parametrize("name", ["a.gz", "a.zip"])
def test_a_truncated_gzip_or_zip(name, keep_bytes):
    data = gzip.compress(TEXT) if name == "a.gz" else zipped({"a.txt": TEXT})
    with pytest.raises(InputError, match=rf"^{name} .*is it complete"):
        contents(data[:keep_bytes], name)


def test_a_damaged_zip_member():
    data = bytearray(zipped({"a.txt": TEXT}))
    data[500] ^= 0xFF
    with pytest.raises(InputError, match=r"^a\.zip:a\.txt cannot be read"):
        contents(data, "a.zip")


def test_text_called_gzip_or_zip():
    with pytest.raises(InputError, match=r"^a\.gz cannot be read"):
        contents(b"plain text", "a.gz")
    with pytest.raises(InputError, match=r"^a\.zip is no readable zip"):
        contents(b"plain text", "a.zip")


def test_an_encrypted_member(monkeypatch):
    info = zipfile.ZipInfo("a.txt")
    info.flag_bits, info.header_offset = 1, 0
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda archive: [info])
    with pytest.raises(InputError, match=r"^a\.zip:a\.txt is encrypted; unpack a\.zip first$"):
        contents(zipped({"a.txt": TEXT}), "a.zip")


def test_what_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1 << 16)
    packed = gzip.compress(ZEROS)
    with pytest.raises(
        InputError, match=r"^a\.zip would unpack to 1,048,576 bytes, more than is read from a zip file of its size"
    ):
        contents(zipped({"a.txt": ZEROS}), "a.zip")
    with pytest.raises(InputError, match=r"^a\.txt\.gz unpacks to more than [\d,]+ bytes"):
        contents(packed, "a.txt.gz")
    with pytest.raises(InputError, match=r"^b\.zip unpacks to more than"):
        contents(zipped({"a.gz": packed}, zipfile.ZIP_STORED), "b.zip")  # the ratio of the zip itself is 1


def test_a_small_gzip_may_unpack_to_64_mebibytes(tmp_path):
    for size in (64 << 20, (64 << 20) + 1):
        (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(size), compresslevel=1))
        if size == 64 << 20:
            assert len(read_bytes(tmp_path / "a.gz")) == size
        else:
            with pytest.raises(InputError, match=r"a\.gz unpacks to more than 67,108,864 bytes; if it can be trusted"):
                read_bytes(tmp_path / "a.gz")


def test_too_many_members(monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_ZIP_MEMBERS", 2)
    with pytest.raises(InputError, match="^a.zip holds 3 files, at most 2 are read"):
        contents(zipped(dict.fromkeys("abc", b"")), "a.zip")


def test_a_zip_in_a_zip():
    with pytest.raises(InputError, match=r"^a\.zip:b\.zip is a zip file inside a zip file"):
        contents(zipped({"b.zip": b""}), "a.zip")


def test_what_is_packed_in_a_zip_counts_together(monkeypatch):
    """Three gzips of 1 MiB each are within the limit of 1.5 MiB one by one, and not together."""
    monkeypatch.setattr(unpacking, "FREE_BYTES", 3 << 19)
    packed = gzip.compress(ZEROS)
    assert len(contents(zipped({"a.gz": packed}, zipfile.ZIP_STORED), "a.zip")) == 1
    several = zipped({f"{k}.gz": packed for k in range(3)}, zipfile.ZIP_STORED)
    assert len(several) * unpacking.MAX_RATIO < 3 << 20
    with pytest.raises(InputError, match=r"^a\.zip unpacks to more than 1,572,864 bytes; if it can be trusted"):
        contents(several, "a.zip")


def overlapping(count: int) -> bytes:
    """A zip file whose directory names one packed member again and again."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.txt", ZEROS)
        [first] = archive.filelist
        for k in range(1, count):
            again = zipfile.ZipInfo(f"{k}.txt")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
        archive._didModify = True
    return file.getvalue()


def test_members_that_overlap_are_refused_before_any_is_read():
    data = overlapping(2000)
    assert len(data) < 150_000  # and would be 2 GB
    with pytest.raises(InputError, match=r"^a\.zip is damaged: '1.txt' and '0.txt' in it overlap; pack it again$"):
        next(unpacked(io.BytesIO(data), "a.zip"))
