"""What augmentation does to pictures, against numpy where it can be said exactly."""

import numpy as np
import pytest
import torch

from llmkit.tasks.vision.augment import Augment

PICTURES = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 2, 16, 16)).astype(np.float32))


def test_nothing_is_changed_where_nothing_is_wanted():
    assert Augment()(PICTURES) is PICTURES


@pytest.mark.parametrize(("flip", "axes"), [("horizontal", [3]), ("vertical", [2]), ("both", [2, 3])])
def test_mirrored_pictures_are_mirrors_of_themselves(flip, axes):
    torch.manual_seed(0)
    found = Augment(flip=flip)(PICTURES)
    wanted = [PICTURES, *(PICTURES.flip(axis) for axis in axes)]
    wanted += [PICTURES.flip([2, 3])] if flip == "both" else []
    which = [
        [number for number, one in enumerate(wanted) if torch.allclose(picture, one[k], atol=1e-4)]
        for k, picture in enumerate(found)
    ]
    assert {numbers[0] for numbers in which} == set(range(len(wanted)))  # all ways occur, and no other


def test_shifts_are_bounded_and_in_all_directions():
    torch.manual_seed(0)
    matrices = Augment(shift=0.25).matrices(500, torch.device("cpu"))
    assert (matrices[:, :, :2] == torch.eye(2)).all()
    moved = matrices[:, :, 2]  # from -1 to 1 is the whole edge
    assert moved.abs().max() <= 0.5 and moved.min() < -0.45 and moved.max() > 0.45


def test_turning_and_scaling_keep_angles():
    torch.manual_seed(0)
    matrices = Augment(rotate=30, scale=0.2).matrices(500, torch.device("cpu"))[:, :, :2]
    sizes = torch.linalg.det(matrices).sqrt()
    assert 1 / 1.2 - 1e-4 <= sizes.min() < 0.87 and 1.15 < sizes.max() <= 1.2 + 1e-4
    turned = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg().abs()
    assert 25 < turned.max() <= 30.001
    product = matrices @ matrices.transpose(1, 2) / sizes[:, None, None] ** 2
    torch.testing.assert_close(product, torch.eye(2).expand_as(product), atol=1e-4, rtol=0)


def test_a_square_is_erased_at_any_place():
    torch.manual_seed(0)
    found = Augment(erase=0.25)(torch.ones(400, 1, 16, 16))
    assert (found.sum(dim=(1, 2, 3)) == 16 * 16 - 4 * 4).all()
    assert (found.mean(dim=0) < 1).all()


def test_brightness_and_contrast_of_each_picture_by_itself():
    torch.manual_seed(0)
    found = Augment(brightness=0.3)(PICTURES)
    slope = (found[:, 0, 0, 0] - found[:, 0, 0, 1]) / (PICTURES[:, 0, 0, 0] - PICTURES[:, 0, 0, 1])
    assert 0.7 <= slope.min() < 0.8 and 1.2 < slope.max() <= 1.3
    torch.testing.assert_close(found - slope[:, None, None, None] * PICTURES, (found - slope[:, None, None, None]
                               * PICTURES)[:, :1, :1, :1].expand_as(found), atol=1e-3, rtol=0)  # fmt: skip
