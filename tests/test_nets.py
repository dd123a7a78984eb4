"""The networks that draw step by step: their shapes, their first step, what they are told, and their published sizes."""

import pytest
import torch

from aigc_demo import model
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.nets import fused
from aigc_demo.nets.condition import dropped
from aigc_demo.nets.transformer import Transformer, Words, waves
from aigc_demo.nets.unet import UNet

NETWORKS = {
    "transformer": lambda shape, classes=0, times=1: Transformer(shape, classes, 4, 16, 2, 2, times),
    "near": lambda shape, classes=0, times=1: Transformer(shape, classes, 4, 16, 2, 2, times, near=True),
    "unet": lambda shape, classes=0, times=1: UNet(shape, classes, 8, (1, 2), 1, times),
}


def shaken(network):
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 12, 12)])
def test_a_network_gives_the_shape_that_it_takes_and_begins_at_zero(name, shape):
    torch.manual_seed(0)
    network, x = NETWORKS[name](shape), torch.randn(2, *shape)
    times = torch.rand(2, 1)
    assert torch.equal(network(x, times), torch.zeros(2, *shape))
    assert network(x, times).shape == x.shape
    assert (shaken(network)(x, times) != 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_times_the_class_and_every_pixel_are_seen(name):
    torch.manual_seed(0)
    network = shaken(NETWORKS[name]((1, 8, 8), classes=3, times=2))
    x, times, y = torch.randn(1, 1, 8, 8), torch.tensor([[0.3, 0.5]]), torch.tensor([1])
    out = network(x, times, y)
    for other in ((x, times + torch.tensor([[0.1, 0.0]]), y), (x, times + torch.tensor([[0.0, 0.1]]), y), (x, times, y + 2)):
        assert (network(*other) - out).abs().max() > 1e-3
    network(x.requires_grad_(), times, y)[0, 0, 0, 0].backward()
    assert (x.grad != 0).all(), "the first pixel follows all"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Transformer((1, 30, 30), 0, 4, 16, 1, 2), r"^data\.size: 30 is not a multiple of model\.patch, 4$"),
        (lambda: Transformer((1, 28, 28), 0, 4, 16, 1, 3), r"^model\.width: 16 is not a multiple of model\.heads, 3$"),
        (lambda: UNet((1, 30, 30), 0, 8, (1, 2, 2), 1), r"^data\.size: 30 is not a multiple of 4, as a U-Net of 3 scales needs$"),
    ],
)
def test_a_size_that_does_not_fit_is_said(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_classes_are_left_out_as_often_as_asked():
    y = torch.arange(4000) % 3
    found = dropped(y, 3, 0.1, torch.Generator().manual_seed(0))
    assert (found == 3).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(found[found < 3], y[found < 3])
    assert dropped(None, 3, 0.1, torch.Generator()) is None
    assert torch.equal(dropped(y, 3, 0.0, torch.Generator().manual_seed(0)), y)


@pytest.mark.parametrize(("preset", "low", "high"), [("flow:gpu", 32, 34), ("diffusion:gpu", 34, 38), ("flow:cpu", 1, 2.5)])
def test_a_preset_has_the_published_number_of_weights(preset, low, high):
    """DiT-S has 33 million (Peebles and Xie 2022, table 1), the CIFAR-10 network of Ho et al. 2020, appendix B, 35.7 million."""
    with torch.device("meta"):
        built = model.build(model.plan(preset), Image(32, 3), 10)
    assert low < sum(p.numel() for p in built.parameters()) / 1e6 < high


def test_how_much_two_patches_heed_each_other_follows_from_the_way_between_them():
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 25, 8).unbind(0)
    turns = fused.turns(waves(2, 5))
    heed = (fused.turned(q, *turns) @ fused.turned(k, *turns).transpose(2, 3))[0, 0]  # (25, 25) of patches that are alike
    row, column = torch.arange(25) // 5, torch.arange(25) % 5
    way = torch.stack([row[:, None] - row, column[:, None] - column], 2).view(-1, 2)
    for apart in way.unique(dim=0):
        same = heed.flatten()[(way == apart).all(1)]
        torch.testing.assert_close(same, same[:1].expand_as(same), atol=1e-4, rtol=1e-4)
    assert heed.std() > 0.1


def test_words_that_are_not_there_are_not_seen():
    torch.manual_seed(0)
    network = shaken(Transformer((1, 8, 8), 0, 4, 16, 2, 2, reads=True, near=True))
    x, times, tokens = torch.randn(2, 1, 8, 8), torch.rand(2, 1), torch.randn(2, 3, 16)
    there = torch.tensor([[True, True, False], [True, False, False]])
    out, changed = (network(x, times, words=Words(t, there)) for t in (tokens, tokens + 5 * ~there[..., None]))
    torch.testing.assert_close(out, changed)
    assert (network(x, times, words=Words(tokens, torch.ones_like(there))) - out).abs().flatten(1).amax(1).min() > 1e-3
