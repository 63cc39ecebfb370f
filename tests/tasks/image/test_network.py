"""What the fused convolution of a generator stands for, and how the discriminator judges."""

import torch
from torch.nn import functional as F

from llmkit.tasks.image.network import Discriminator, contracted, doubled, expanded


def test_doubling_is_a_convolution_of_repeated_pixels():
    torch.manual_seed(0)
    convolution, h = torch.nn.Conv2d(6, 4, 3, padding=1), torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(doubled(h, convolution), convolution(F.interpolate(h, scale_factor=2)))
    torch.testing.assert_close(contracted(expanded(convolution.weight)), convolution.weight)


def test_the_discriminator_judges_each_set_by_itself_and_sees_how_much_it_varies():
    torch.manual_seed(0)
    discriminator, labels = Discriminator(28, 1, 2, 8), torch.tensor([0, 1, 0, 1])
    pictures = torch.randn(2, 4, 1, 28, 28)
    both = discriminator(pictures, labels)
    torch.testing.assert_close(both[1:], discriminator(pictures[1:], labels))
    other = discriminator(pictures, 1 - labels)
    assert (both != other).all()  # judged as one of its label
    alike = pictures[:1, :1].expand(1, 4, -1, -1, -1)
    varied = torch.cat([alike[:, :1], pictures[1:, 1:]], dim=1)
    assert discriminator(alike, labels)[0, 0] != discriminator(varied, labels)[0, 0]  # the same picture, other company
