"""Directions are those of largest effect, and arcs go where they say."""

import pytest
import torch
from torch import nn

from aigc_demo import checkpoint, latent
from aigc_demo.config import Fields


class Linear(nn.Module):
    """x = W z, whose directions are known: the right singular vectors of W."""

    class Sampling(Fields):
        pass

    def __init__(self, weight, classes=0, latent=None):
        super().__init__()
        self.weight, self.classes, self.latent = nn.Parameter(weight), classes, latent or weight.shape[1:]

    def phases(self):
        return {"model": self}

    def sample(self, latents, sampling, condition=None, on_step=None):
        assert (condition is None) == (self.classes == 0)
        return (latents.flatten(1) @ self.weight.T).view(-1, 1, 5, 6)


def matrix(rank=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(30, rank, generator=rng))
    v, _ = torch.linalg.qr(torch.randn(rank, rank, generator=rng))
    return u @ torch.diag(2.0 ** -torch.arange(rank)) @ v.T, v


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", [(8,), (2, 4)])
def test_the_directions_of_a_linear_model_are_its_singular_vectors(classes, shape):
    weight, v = matrix()
    known = latent.directions(Linear(weight, classes, shape), seed=3, count=5)
    found, effects = known.vectors, known.effects
    assert found.shape == (5, *shape)
    agreement = (found.flatten(1) @ v[:, :5]).abs()
    torch.testing.assert_close(agreement, torch.eye(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(effects, 2.0 ** -torch.arange(5) / 30**0.5, rtol=1e-3, atol=0)


def test_the_effect_is_what_a_step_changes():
    model = Linear(matrix()[0])
    known = latent.directions(model)
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
    for direction, effect in zip(known.vectors, known.effects, strict=True):
        change = model.sample(z + direction, None) - model.sample(z, None)
        torch.testing.assert_close(change.square().mean().sqrt(), effect, rtol=1e-3, atol=1e-6)


def test_the_directions_of_every_family_are_orthonormal_ordered_and_repeatable(made):
    built = checkpoint.load(made)
    known = latent.directions(built, seed=1)
    found, effects = known.vectors, known.effects
    size = int(torch.tensor(built.latent).prod())
    assert found.shape == (min(10, size), *built.latent)
    flat = found.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat)), atol=1e-5, rtol=0)
    assert (effects[:-1] >= effects[1:]).all()
    assert effects[0] > 0
    again = latent.directions(built, seed=1)
    assert torch.equal(again.vectors, found)
    assert torch.equal(again.effects, effects)
    biggest = flat.gather(1, flat.abs().argmax(1, keepdim=True))
    assert (biggest > 0).all(), "a sign that every machine agrees on"


def test_moving_goes_along_the_directions_by_the_amounts():
    latents, found = torch.randn(2, 3, 4), torch.randn(5, 3, 4)
    amounts = torch.zeros(2, 5)
    amounts[0, 1], amounts[1, 0], amounts[1, 4] = 2.0, -1.0, 0.5
    moved = latent.moved(latents, found, amounts)
    torch.testing.assert_close(moved[0], latents[0] + 2 * found[1])
    torch.testing.assert_close(moved[1], latents[1] - found[0] + 0.5 * found[4])


def pair(shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng), 3 * torch.randn(*shape, generator=rng)


@pytest.mark.parametrize("shape", [(2,), (100,), (4, 5)])
def test_an_arc_starts_and_ends_at_its_ends_and_its_radius_goes_evenly_between(shape):
    a, b = pair(shape)
    t = torch.linspace(0, 1, 11)
    points = latent.slerp(a, b, t)
    assert points.shape == (11, *shape)
    torch.testing.assert_close(points[0], a)
    torch.testing.assert_close(points[-1], b, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(points.flatten(1).norm(dim=1), a.norm() + t * (b.norm() - a.norm()), rtol=1e-4, atol=1e-5)
    ways = nn.functional.normalize(points.flatten(1), dim=1)
    steps = torch.acos((ways[1:] * ways[:-1]).sum(1).clamp(-1, 1))
    torch.testing.assert_close(steps, steps.mean().expand(10), rtol=1e-2, atol=1e-4)  # even steps along the arc


@pytest.mark.parametrize("case", ["same", "opposite", "zero", "nearly the same"])
def test_an_arc_that_has_no_plane_is_a_straight_line(case):
    a = torch.tensor([1.0, 2.0, 2.0])
    b = {"same": a, "opposite": -a, "zero": torch.zeros(3), "nearly the same": a + 1e-6}[case]
    points = latent.slerp(a, b, torch.tensor([0.0, 0.5, 1.0]))
    assert points.isfinite().all()
    torch.testing.assert_close(points, torch.stack([a, (a + b) / 2, b]), atol=1e-5, rtol=0)


def test_a_mix_of_points_passes_through_them_and_stays_at_their_radius():
    points = torch.randn(3, 2, 50, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    torch.testing.assert_close(latent.mixed(points, torch.eye(3)), points)
    radii = points.flatten(1).norm(dim=1)
    weights = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, -1.0, 1.0], [0.5, 0.5, 0.0]])
    torch.testing.assert_close(latent.mixed(points, weights).flatten(1).norm(dim=1), weights @ radii)
    same = latent.mixed(points[:1].expand(3, -1, -1), weights)
    torch.testing.assert_close(same, points[:1].expand(3, -1, -1))
    a, c = points[0], points[2]
    torch.testing.assert_close(latent.mixed(torch.stack([a, a, c]), weights[1:2])[0], c)  # a - a + c
    assert not latent.mixed(torch.stack([a, -a]), torch.tensor([[0.5, 0.5]])).isnan().any()


def test_every_place_of_the_lattice_is_a_standard_normal_draw_and_near_places_are_alike():
    shape = (2000,)
    for x, y in ((0, 0), (0.5, 0.5), (-17.25, 3.9), (1e6, -1e6)):
        z = latent.on_lattice(shape, 5, x, y)
        assert abs(z.mean()) < 4 / 2000**0.5
        assert abs(z.var() - 1) < 4 * (2 / 2000) ** 0.5
        assert torch.equal(z, latent.on_lattice(shape, 5, x, y))
        assert not torch.equal(z, latent.on_lattice(shape, 6, x, y))
    corner = latent.on_lattice(shape, 5, 2, 3)
    assert abs((corner * latent.on_lattice(shape, 5, 3, 3)).mean()) < 4 / 2000**0.5, "neighbours are independent"
    for near in ((2.001, 3), (1.999, 3), (2, 2.999)):  # from either side
        torch.testing.assert_close(latent.on_lattice(shape, 5, *near), corner, atol=1e-4, rtol=0)
    a, b = (latent.on_lattice(shape, 5, 2.5 + d, 3.25) for d in (0, 1e-3))
    assert 0 < (a - b).abs().max() < 0.02
