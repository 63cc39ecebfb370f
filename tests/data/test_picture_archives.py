"""picture_archives.py: NPZ files as MedMNIST, Keras and people have them, and those that are none."""

import numpy as np
import pytest
from small_pictures import squares

from llmkit.data.picture_archives import read_npz
from llmkit.errors import InputError

PIXELS, _ = squares(6)
NUMBERS = np.array([0, 1] * 3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_parts_that_train_validate_and_test(tmp_path, save):
    file = tmp_path / "a.npz"
    save(
        file,
        test_images=PIXELS[4:],
        train_images=PIXELS[:2],
        val_images=PIXELS[2:4],
        train_labels=NUMBERS[:2, None],
        val_labels=NUMBERS[2:4],
        about=np.arange(3),
    )
    train, val, test = read_npz(file)
    assert (train.images == PIXELS[:2]).all() and train.split == "train" and train.labels.tolist() == [0, 1]
    assert val.split == "val" and val.labels.tolist() == [0, 1]
    assert test.labels is None and test.name == f"{file}:test_images.npy"


def test_other_names(tmp_path):
    np.savez(tmp_path / "keras.npz", x_train=PIXELS[:4], y_train=NUMBERS[:4], x_test=PIXELS[4:], y_test=NUMBERS[4:])
    assert [(part.split, len(part.images), part.labels.tolist()) for part in read_npz(tmp_path / "keras.npz")] == [
        ("train", 4, [0, 1, 0, 1]),
        ("test", 2, [0, 1]),
    ]
    np.savez(tmp_path / "plain.npz", images=PIXELS, labels=NUMBERS)
    [part] = read_npz(tmp_path / "plain.npz")
    assert part.split is None and part.labels.tolist() == NUMBERS.tolist()


def test_what_is_no_archive_of_pictures(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, weights=PIXELS)
    with pytest.raises(InputError, match="a.npz: there is no array called images, or .*; there are: weights"):
        read_npz(file)
    np.savez(file, images=PIXELS, labels=NUMBERS[:5])
    with pytest.raises(InputError, match=r"labels.npy: labels of shape \(5,\) for 6 pictures; one each is needed"):
        read_npz(file)
    np.savez(file, images=np.array([{}], object))
    with pytest.raises(InputError, match="numbers are needed"):
        read_npz(file)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InputError, match="is no readable zip file"):
        read_npz(file)
