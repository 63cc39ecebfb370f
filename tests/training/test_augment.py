"""Random shifts of pictures: whole ones, by the pixels named, each as often."""

import torch

from llmkit.training.augment import shifted


def test_shifts_move_whole_pictures_by_the_pixels_named_and_each_as_often():
    torch.manual_seed(0)
    picture = torch.zeros(1, 2, 9, 9)
    picture[:, :, 4, 4] = torch.tensor([1.0, 2.0])
    moved = shifted(picture.expand(2000, -1, -1, -1), 2)
    at = moved[:, 0].flatten(1).argmax(dim=1)
    assert (moved[:, 1].flatten(1).argmax(dim=1) == at).all() and (moved.sum(dim=(1, 2, 3)) == 3).all()
    places, counts = torch.stack([at // 9, at % 9]).unique(dim=1, return_counts=True)
    assert places.shape[1] == 25 and places.min() == 2 and places.max() == 6
    assert counts.min() > 2000 / 25 / 2
    assert shifted(picture, 0) is picture
    edge = torch.ones(50, 1, 9, 9)
    assert (shifted(edge, 2) == 1).all()  # the edge goes on
