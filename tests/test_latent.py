"""Directions are those of largest effect, and arcs go where they say."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from toys import curved

from aigc_demo import checkpoint, latent
from aigc_demo.config import Fields
from aigc_demo.latent import curve, methods, names
from aigc_demo.modalities.image import Modality as Image


class Linear(nn.Module):
    """x = W z, whose directions are known: the right singular vectors of W."""

    draft: ClassVar = {}
    smooth = True

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


@pytest.mark.parametrize("method", ["jacobian", "closed", "pca"])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", [(8,), (2, 4)])
def test_the_directions_of_a_linear_model_are_its_singular_vectors(method, classes, shape):
    weight, v = matrix()
    found = latent.directions(Linear(weight, classes, shape), method, seed=3, count=5)
    assert found.vectors.shape == (5, *shape)
    assert (found.methods, found.names) == ((method,) * 5, ("",) * 5)
    agreement = (found.vectors.flatten(1) @ v[:, :5]).abs()
    torch.testing.assert_close(agreement, torch.eye(5), atol=0.15 if method == "pca" else 1e-3, rtol=0)  # pca goes by samples
    torch.testing.assert_close(found.effects, 2.0 ** -torch.arange(5) / 30**0.5, rtol=0.1 if method == "pca" else 1e-3, atol=0)


class Deep(Linear):
    """x = tanh(W3 tanh(W z)), z beside a class that the first layer takes too and after layers that do not see z."""

    def __init__(self, weight):
        super().__init__(weight, classes=3)
        self.embed, self.clock = nn.Embedding(3, 4), nn.Linear(4, 30)
        self.first, self.last = nn.Linear(12, 30, bias=False), nn.Linear(30, 30)
        with torch.no_grad():
            self.first.weight[:, :8] = weight

    def sample(self, latents, sampling, condition=None, on_step=None):
        y = self.embed(condition)
        h = self.first(torch.cat([2 * latents, y], 1)) + self.clock(y)
        return self.last(h.tanh()).tanh().view(-1, 1, 5, 6)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 40, 8), (2, 500), (400, 2, 2)])
def test_a_latent_like_a_picture_is_looked_at_along_its_lowest_cosines(shape):
    found = methods.axes(shape)
    assert found.shape[1:] == shape
    assert shape[0] <= len(found) <= max(shape[0], methods.MOST_AXES)
    flat = found.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat)), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0], found[0, 0].flatten()[0].expand(shape) * torch.eye(shape[0])[0].view(-1, *[1] * (len(shape) - 1)))


def test_a_large_latent_s_strongest_low_wave_is_found():
    wave = methods.axes((1, 20, 20))[37]
    weight = torch.zeros(30, 400)
    weight[4] = 2 * wave.flatten()
    fine = torch.cos(torch.pi / 20 * 19 * (torch.arange(20) + 0.5))
    weight[9] = torch.outer(fine, fine).flatten()  # stronger, and as fine as can be: left alone
    found = latent.directions(Linear(weight, latent=(1, 20, 20)), "jacobian", count=1)
    assert abs(found.vectors[0].flatten() @ wave.flatten()) > 0.99


def test_the_first_layer_is_the_one_that_meets_the_latent():
    weight, v = matrix()
    model = Deep(weight)
    z = torch.randn(6, 8)
    first, second = methods.layers(model, z, torch.arange(6) % 3)
    torch.testing.assert_close(first, 2 * z @ weight.T + model.embed(torch.arange(6) % 3) @ model.first.weight[:, 8:].T)
    torch.testing.assert_close(second, (first + model.clock(model.embed(torch.arange(6) % 3))).tanh())
    found = latent.directions(model, "closed", count=4)
    torch.testing.assert_close((found.vectors @ v[:, :4]).abs(), torch.eye(4), atol=1e-3, rtol=0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()), "nothing is left behind"


def test_the_effect_is_what_a_step_changes():
    model = Linear(matrix()[0])
    known = latent.directions(model)
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
    for direction, effect in zip(known.vectors, known.effects, strict=True):
        change = model.sample(z + direction, None) - model.sample(z, None)
        torch.testing.assert_close(change.square().mean().sqrt(), effect, rtol=1e-3, atol=1e-6)


class Painter(Linear):
    """Draws a spot: how far right, how far up and how bright are three numbers of z, after a rotation; the others change nothing."""

    def __init__(self, turn, classes=0):
        super().__init__(turn, classes, (len(turn),))

    def sample(self, latents, sampling, condition=None, on_step=None):
        right, up, light = (latents @ self.weight.T)[:, :3].unbind(1)
        line = torch.linspace(-1, 1, 24)
        across = torch.sigmoid(3 - 12 * (line - 0.1 * right[:, None]).abs())
        down = torch.sigmoid(6 - 12 * (line + 0.05 * up[:, None]).abs())
        ink = down[:, :, None] * across[:, None, :] * (0.5 + 0.08 * light).view(-1, 1, 1)
        return (2 * ink - 1).unsqueeze(1)


def three(x):
    """The measures that the painter means to change."""
    return {name: Image.measures(x)[name] for name in ("brightness", "left-right", "up-down")}


def rotation(size=6, seed=4):
    return torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed)))[0]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("method", ["measured", "best", "jacobian"])
def test_what_can_be_read_off_a_picture_is_found_and_named(method, classes):
    turn = rotation()
    found = latent.directions(Painter(turn, classes), method, three)
    named = {name: vector for name, vector in zip(found.names, found.vectors, strict=True) if name}
    assert {"left-right", "up-down"} <= set(named), found.names
    for name, number in {"left-right": 0, "up-down": 1}.items():
        assert named[name] @ turn[number] > 0.95, "to the right, and upwards, is more"
    assert len(set(named)) == sum(map(bool, found.names)), "a name stands once"
    if method == "best":
        assert len(found) == 3, "three things change: whatever else was found does nothing, or the same again"


def test_a_name_is_given_only_where_one_thing_explains_most():
    turn = rotation()
    mix = torch.nn.functional.normalize(turn[:3].sum(0), dim=0)  # to the right, up and brighter, to the same extent
    seen = methods.look(Painter(turn), {"measured": three})
    reading = seen.readings["measured"]
    single, mixed = names.words(seen, reading, torch.stack([turn[0], mix]))
    assert reading.names[single.measure] == "left-right"
    assert mixed.measure == -1
    still = names.words(seen, reading, turn[5:])[0]
    assert still.measure == -1, "what moves nothing has no name"


def test_labels_find_the_way_to_each_class_and_to_each_factor():
    turn = rotation()
    model = Painter(turn)
    z = torch.randn(600, 6, generator=torch.Generator().manual_seed(2))
    place = (z @ turn.T)[:, 0]
    targets = {"right": (place > 0).float(), "place": place, "noise": torch.randn(600, generator=torch.Generator().manual_seed(3))}
    found = latent.directions(model, "labels", Image.measures, latent.Known(model.sample(z, None), targets))
    assert "noise" not in found.names, "what cannot be read off a picture is not followed"
    assert found.names
    assert set(found.names) <= {"right", "place"}
    assert all(v @ turn[0] > 0.9 for v in found.vectors)
    assert set(found.methods) == {"labels"}


def test_a_conditional_model_shows_its_own_classes(all_made):
    for made in all_made.values():
        model = checkpoint.load(made)
        known = latent.own(model, made.manifest.classes, count=40)
        assert list(known.targets) == list(made.manifest.classes)
        assert known.x.shape == (40, *made.modality.shape)
        assert torch.stack(list(known.targets.values())).sum(0).eq(1).all()
    with pytest.raises(latent.DirectionsError, match="draws no chosen class"):
        latent.own(Painter(rotation()), ())


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("labels", "labels: there is nothing"),
        ("measured", "measured: there is nothing"),
        ("x", "'x' is not one of best, labels, measured, pca, closed, jacobian, curved"),
    ],
)
def test_a_method_that_cannot_be_used_is_refused_in_a_sentence(method, says):
    with pytest.raises(latent.DirectionsError, match=says):
        latent.directions(Painter(rotation()), method)


def test_a_model_that_always_makes_the_same_has_sliders_without_effect():
    found = latent.directions(Linear(torch.zeros(30, 8)), measures=Image.measures)
    assert len(found) >= 1
    assert found.effects.eq(0).all()
    assert found.vectors.isfinite().all()
    assert not any(found.names)


def test_the_directions_of_every_family_are_ordered_distinct_and_repeatable(made):
    built = checkpoint.load(made)
    known = latent.directions(built, measures=made.modality.measures, seed=1)
    flat = known.vectors.flatten(1)
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(len(known)), atol=1e-5, rtol=0)
    assert 1 <= len(known) <= 10
    assert (known.effects[:-1] >= known.effects[1:]).all()
    assert known.effects[0] > 0
    again = latent.directions(built, measures=made.modality.measures, seed=1)
    assert torch.equal(again.vectors, known.vectors)
    assert torch.equal(again.effects, known.effects)
    assert (again.methods, again.names) == (known.methods, known.names)
    jacobian = latent.directions(built, "jacobian", seed=1).vectors.flatten(1)
    torch.testing.assert_close(jacobian @ jacobian.T, torch.eye(len(jacobian)), atol=1e-5, rtol=0)
    places = jacobian @ methods.axes(built.latent).flatten(1).T
    biggest = places.gather(1, places.abs().argmax(1, keepdim=True))
    assert (biggest > 0).all(), "a sign that every machine agrees on"


def test_moving_goes_along_the_directions_by_the_amounts():
    latents, found = torch.randn(2, 3, 4), torch.randn(5, 3, 4)
    amounts = torch.zeros(2, 5)
    amounts[0, 1], amounts[1, 0], amounts[1, 4] = 2.0, -1.0, 0.5
    moved = latent.moved(latents, found, amounts)
    torch.testing.assert_close(moved[0], latents[0] + 2 * found[1])
    torch.testing.assert_close(moved[1], latents[1] - found[0] + 0.5 * found[4])


class Winding(Painter):
    """A painter to whom how far right, and how far up, is a number of z plus the square of another."""

    def sample(self, latents, sampling, condition=None, on_step=None):
        z = latents @ self.weight.T
        bent = torch.stack([z[:, 0] + z[:, 3].square() - 1, z[:, 1] - z[:, 4].square() + 1, z[:, 2], z[:, 3], z[:, 4], z[:, 5]], 1)
        return super().sample(bent @ self.weight, sampling, condition)


def test_along_a_curve_what_is_measured_runs_straight(monkeypatch):
    monkeypatch.setattr(curve, "STEPS", 300)
    monkeypatch.setattr(curve, "SAMPLES", 2500)
    painter = Winding(rotation())
    found = latent.directions(painter, "curved", three)
    assert found.curve is not None
    ways = {name: k for k, name in enumerate(found.names) if found.methods[k] == "curved"}
    assert {"left-right", "up-down"} <= set(ways), found.names
    straight = latent.directions(painter, "measured", three)
    z = torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    told = three(painter.sample(z, None))

    def follows(places, vectors, k, name):
        return torch.corrcoef(torch.stack([places @ vectors[k], told[name]]))[0, 1]

    for name in ("left-right", "up-down"):
        assert follows(z, straight.vectors, straight.names.index(name), name) < 0.8
        assert follows(found.curve(z)[0], found.vectors, ways[name], name) > 0.95
    amounts = torch.zeros(500, len(found))
    amounts[:, ways["left-right"]] = 1
    after = three(painter.sample(found.moved(z, amounts), None))
    change = {name: (after[name] - told[name]) / told[name].std() for name in told}
    assert change["left-right"].mean() > 0.7
    assert change["left-right"].std() < 0.5 * change["left-right"].mean(), "as far wherever it starts"
    assert change["up-down"].abs().mean() < 0.25 * change["left-right"].mean(), "and the other stays"
    again = latent.directions(painter, "curved", three)
    assert torch.equal(again.vectors, found.vectors)
    assert all(torch.equal(a, b) for a, b in zip(again.curve.parameters(), found.curve.parameters(), strict=True))


@pytest.mark.parametrize("shape", [(2,), (10,), (100,), (1, 20, 20)])
def test_a_curve_is_a_bijection_whose_volume_is_known_and_that_leaves_what_is_not_moved(shape):
    found = curved(shape)
    size = len(found.curve.turn)
    c = torch.randn(3, size, generator=torch.Generator().manual_seed(2))
    u, stretched = found.curve(c)
    assert (u - c).abs().max() > 0.3
    torch.testing.assert_close(found.curve.inverse(u), c, atol=1e-4, rtol=1e-4)
    for one, log_det in zip(c, stretched, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda c: found.curve(c[None])[0][0], one)
        torch.testing.assert_close(jacobian.double().slogdet()[1].float(), log_det, atol=1e-3, rtol=1e-3)
    z, amounts = torch.randn(3, *shape), torch.tensor([[0.0], [2.0], [-1.0]])
    moved = found.first(1).moved(z, amounts)
    assert torch.equal(moved[0], z[0])
    along = methods.axes(shape).flatten(1)
    before, after = (found.curve(v.flatten(1) @ along.T)[0] for v in (z, moved))
    torch.testing.assert_close(after - before, amounts * torch.eye(size)[:1], atol=1e-4, rtol=0)
    rest = torch.eye(along.shape[1]) - along.T @ along
    torch.testing.assert_close(moved.flatten(1) @ rest, z.flatten(1) @ rest, atol=1e-4, rtol=0)


def test_where_nothing_can_be_read_no_curve_is_fitted():
    with pytest.raises(latent.DirectionsError, match="curved: there is nothing"):
        latent.directions(Painter(rotation()), "curved")
    with pytest.raises(latent.DirectionsError, match="curved: no direction was found"):
        latent.directions(Linear(torch.zeros(30, 8)), "curved", Image.measures)


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
