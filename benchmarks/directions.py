"""Do the sliders change one thing each?

Three models with ten numbers in a latent are trained here on the coloured shapes at 32 pixels, the class not chosen, so that everything a
picture shows is in the latent (once; they lie in the cache): a `gan:dcgan`, whose own numbers hold a bit of everything each; a plain
`vae:conv`; and a `vae:beta`. A VAE's own numbers tend to hold one thing each (Rolinek et al. 2019, arXiv:1812.06775), the more the larger
its beta: they are the harder to better. Seven factors are scored: shape, colour, background, radius, x, y and rotation. A VAE's encoder
reads the 5,000 shapes of the test part, whose factors are known; a GAN draws 5,000 samples, and their factors are read by a network that
learnt to from drawn shapes (how rightly it reads the test part is told). Scored are the latent's own numbers ("raw axes"), and the amounts
along directions that explain the same latents best (least squares), along "curved" ones in the coordinates of their curve. No direction was
fitted on these pictures, and none but those by labels to what is known of any: the others go by what the program reads off the model's own
samples (measures of a picture, such as how warm its shape's colour is; some are near a factor: its middle is x and y, its size goes with
radius). Those by labels, where
there is an encoder, learn the factors from 2,000 of the train part, a named factor as the number that its classes have on their leading
linear discriminant.

- MIG, the mutual information gap (Chen et al. 2018, arXiv:1802.04942, section 4.1): how much more of a factor the slider that knows most
  of it knows than the next one, in shares of the factor's entropy; the mean over factors. Sliders in 20 bins, measured factors in 10.
- DCI disentanglement (Eastwood and Williams 2018, openreview By-7dz-AZ): 1 less the entropy of what a slider matters for, by the
  importances of random forests; the mean over sliders, weighted by how much each matters.

MIG is the mean of three searches for directions, of other seeds. Beside it stand the trivial baseline (random orthonormal directions), the
floor (raw axes against shuffled factors: what chance gives), and how far straight lines go about: directions along which each factor is
read best, fitted to the factors of the very pictures that are scored.
The target of the best that is offered ("curved": train.sliders, or aigc explore NAME --directions curved --save) is twice the raw axes'
score; of the `vae:beta`, whose axes were trained to hold one thing each and which lines fitted to the factors better by no more than 1.1 to
1.5 times, that they are bettered at all. Beside it stand the straight ones that a checkpoint is given by itself ("best").
And for each shipped checkpoint: how long the search for its sliders takes, and how many of them bear a name."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import safetensors.torch
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import mutual_info_score
from torch import nn

from aigc_demo import checkpoint, config, data, files, history, latent, trainer
from aigc_demo.data.loading import Dataset
from aigc_demo.latent import Directions
from aigc_demo.model import Model, draw_latents, plan

from . import minute, report

FACTORS = ("shape", "colour", "background", "radius", "x", "y", "rotation")
METHODS = ("pca", "closed", "jacobian", "measured", "best", "curved")  # without labels
VARIED = {"model.width": 32, "model.pack": 2, "model.discriminator_rate": 4.0, "train.lr": 1.5e-4, "train.beta1": 0.5}  # as is shipped
PRESETS: dict[str, dict[str, Any]] = {"gan:dcgan": VARIED, "vae:conv": {}, "vae:beta": {}}
TIMES = {"vae:beta": 1}  # the raw axes' score, where it is not to be twice that
SAMPLES = 5000  # of a GAN
DRAWN, SEEN = 20_000, 12  # shapes that the network which reads them learns from, and how often it sees each
STEPS, QUICK_STEPS = 4000, 300
CODE_BINS, FACTOR_BINS = 20, 10
TREES, DEEP, GROWN = 20, 8, 3000  # of each forest: trees, their depth, items
ROUNDS = 5  # of a search's time
DRAWS = 10  # of random directions
SEED = 7
SEARCHES = 3  # seeds of the search for directions; the forests see the first alone


def model(preset: str, steps: int) -> checkpoint.Checkpoint:
    """The checkpoint to score, from the cache or trained now."""
    run = plan(
        preset,
        {
            "data.source": "shapes", "data.size": 32, "model.conditional": False, "model.latent": 10, "train.budget": steps,
            "train.unit": "steps", "train.decay": "cosine", "seed": SEED, "device": "cpu", "name": f"shapes-{preset[4:]}",
            **PRESETS[preset],
        },
    )  # fmt: skip
    folder = files.home() / "cache" / f"directions-{preset.replace(':', '-')}-{steps}"
    made = folder / "checkpoint"
    if not (made / checkpoint.CONFIG).exists() or checkpoint.read(made).manifest.run != run:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / history.STATE).unlink(missing_ok=True)
        for seen in trainer.record(run, folder):
            if seen.sheet is not None:
                report.say(f"  training {preset}: step {seen.step:,} of {steps:,}")
    return checkpoint.read(made)


@torch.inference_mode()
def encoded(built: Model, x: torch.Tensor) -> np.ndarray:
    """x (N, C, H, W) -> the encoder's means (N, latent)."""
    return torch.cat([built.encode(part)[0] for part in x.split(500)]).double().numpy()


def reader(quick: bool) -> Callable[[torch.Tensor], dict[str, np.ndarray]]:
    """What reads the factors, each (N,), off pictures x (N, 3, 32, 32): a convolutional network that drawn shapes taught; from the cache or
    trained now. How rightly it reads the test part is said each time."""
    train, test = (data.load(config.Data(source="shapes", size=32), part=part) for part in ("train", "test"))
    train = train.limit(2000 if quick else DRAWN, SEED)
    known, held = factors(train), factors(test)
    named = {name: int(f.max()) + 1 for name, f in known.items() if f.dtype.kind == "i"}
    spans = {name: (float(f.mean()), float(f.std())) for name, f in known.items() if name not in named}
    widths = [*named.values(), *(1 for _ in spans)]
    torch.manual_seed(SEED)
    layers: list[nn.Module] = []
    for before, after in pairwise((3, 32, 64, 96, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, sum(widths)))
    x = train.modality.encode(train.items)
    cache = files.home() / "cache" / f"shapes-reader-{len(train)}.safetensors"
    if not cache.exists():
        wanted = {name: torch.from_numpy(factor) for name, factor in known.items()}
        wanted |= {name: (wanted[name] - middle) / span for name, (middle, span) in spans.items()}

        def loss(index: torch.Tensor) -> torch.Tensor:
            outs = zip((*named, *spans), net(x[index]).split(widths, 1), strict=True)
            return sum(
                nn.functional.cross_entropy(out, wanted[name][index])
                if name in named
                else nn.functional.mse_loss(out[:, 0], wanted[name][index])
                for name, out in outs
            )

        minute.fitted("reader of shapes", net, len(x), loss, 1 if quick else SEEN)
        files.write_whole(cache, safetensors.torch.save(net.state_dict()))
    net.load_state_dict(safetensors.torch.load_file(cache))
    net.eval()

    @torch.inference_mode()
    def read(x: torch.Tensor) -> dict[str, np.ndarray]:
        outs = torch.cat([net(part) for part in x.split(500)]).split(widths, 1)
        found = dict(zip((*named, *spans), outs, strict=True))
        measured = {name: found[name][:, 0] * span + middle for name, (middle, span) in spans.items()}
        return {name: f.numpy() for name, f in ({name: found[name].argmax(1) for name in named} | measured).items()}

    told = read(test.modality.encode(test.items))
    for name in FACTORS:
        if name in named:
            report.say(f"  reader: {name} right in {(told[name] == held[name]).mean():.1%}")
        else:
            report.say(f"  reader: {name} correlates {np.corrcoef(told[name], held[name])[0, 1]:.3f}")
    return read


def amounts(codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """How far along each of `vectors` (K, n) lie the latents (N, n): (N, K), by least squares."""
    return codes @ np.linalg.pinv(vectors)


def along(codes: np.ndarray, found: Directions) -> np.ndarray:
    """`amounts` of the latents (N, n), in the coordinates in which the directions are straight: (N, K)."""
    if found.curve is not None:
        codes = found.curve(torch.from_numpy(codes).float())[0].double().numpy()
    return amounts(codes, found.vectors.flatten(1).double().numpy())


def factors(of: Dataset) -> dict[str, np.ndarray]:
    """What is known of each item, each (N,)."""
    return {name: of.factors[name].numpy() for name in FACTORS}


def gap(codes: np.ndarray, known: dict[str, np.ndarray]) -> float:
    """The mutual information gap of codes (N, K)."""
    binned = [_bins(code, CODE_BINS) for code in codes.T]
    gaps = []
    for factor in known.values():
        classes = _bins(factor, FACTOR_BINS)
        most, next_ = sorted([0.0, *(mutual_info_score(classes, code) for code in binned)], reverse=True)[:2]
        gaps.append((most - next_) / mutual_info_score(classes, classes))
    return float(np.mean(gaps))


def _bins(values: np.ndarray, count: int) -> np.ndarray:
    """Measured values (N,) in `count` bins of as many items each; names as they are."""
    if values.dtype.kind == "i":
        return values
    return np.digitize(values, np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]))


def disentanglement(codes: np.ndarray, known: dict[str, np.ndarray]) -> float:
    """The D of DCI of codes (N, K)."""
    importances = []
    for factor in known.values():
        forest = RandomForestClassifier if factor.dtype.kind == "i" else RandomForestRegressor
        grown = forest(TREES, max_depth=DEEP, max_features=1.0, random_state=SEED).fit(codes[:GROWN], factor[:GROWN])
        importances.append(grown.feature_importances_)
    matter = np.array(importances).T  # (K, factors)
    share = matter / matter.sum(1, keepdims=True).clip(1e-12)
    entropy = -(share * np.log(share.clip(1e-12))).sum(1) / np.log(len(known))
    return float(((1 - entropy) * matter.sum(1)).sum() / matter.sum())


def targets(codes: np.ndarray, known: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Each factor as a number: a named one as the place of its classes on their leading linear discriminant."""
    found = {}
    for name, factor in known.items():
        if factor.dtype.kind == "i":
            line = LinearDiscriminantAnalysis(n_components=1).fit_transform(codes, factor)[:, 0]
            factor = np.array([line[factor == k].mean() for k in range(factor.max() + 1)])[factor]
        found[name] = torch.from_numpy(factor).float()
    return found


def fitted(codes: np.ndarray, known: dict[str, np.ndarray]) -> np.ndarray:
    """Directions (factors, n) whose `amounts` are what best reads each factor off codes (N, n), by least squares."""
    told = torch.stack(list(targets(codes, known).values()), 1).double().numpy()
    readers = np.linalg.lstsq(codes - codes.mean(0), (told - told.mean(0)) / told.std(0), rcond=None)[0]
    return np.linalg.pinv(readers)


def known_of(made: checkpoint.Checkpoint, built: Model, quick: bool) -> tuple[np.ndarray, dict[str, np.ndarray], latent.Known | None]:
    """Latents (N, latent), the factors of what they stand for, each (N,), and what directions by labels may learn from."""
    if not hasattr(built, "encode"):
        z = draw_latents(built.latent, SEED, range(SAMPLES))
        with torch.inference_mode():
            x = torch.cat([built.sample(part, built.Sampling()) for part in z.split(500)])
        known = reader(quick)(x.clamp(-1, 1))
        if still := [name for name, factor in known.items() if (factor == factor[0]).all()]:
            raise RuntimeError(
                f"{made.name}: its samples differ in no {', '.join(still)}: it has collapsed, and its directions mean nothing"
            )
        return z.double().numpy(), known, None
    spec, modality = config.Data(source="shapes", size=made.modality.size), made.modality
    test, train = data.load(spec, part="test"), data.load(spec).limit(latent.MOST, SEED)
    x = modality.encode(train.items)
    truth = latent.Known(x, targets(encoded(built, x), factors(train)))
    return encoded(built, modality.encode(test.items)), factors(test), truth


def scored(preset: str, steps: int, quick: bool) -> list[dict[str, Any]]:
    """The rows of one model's scores; DCI takes a minute, and is left out where it is to be quick."""
    made = model(preset, steps)
    built, modality = checkpoint.load(made), made.modality
    codes, known, truth = known_of(made, built, quick)
    rng = np.random.default_rng(SEED)

    ways: dict[str, list[Directions]] = {}
    told_ways = (("labels", "labels", truth), ("best with labels", "best", truth)) if truth else ()
    for name, method, told in (*((m, m, None) for m in METHODS), *told_ways):
        with contextlib.suppress(latent.DirectionsError):  # a model that has learnt little may show nothing that can be followed
            ways[name] = [latent.directions(built, method, modality.measures, told, SEED + k) for k in range(SEARCHES)]
    turns = [np.linalg.qr(rng.normal(size=(codes.shape[1],) * 2))[0] for _ in range(DRAWS)]
    shuffled = {name: rng.permutation(factor) for name, factor in known.items()}
    rows = []
    for score, name in ((gap, f"{preset}: MIG"), (disentanglement, f"{preset}: DCI"))[: 1 if quick else 2]:
        raw = score(codes, known)
        rows.append(report.row(f"{name}: raw axes", raw, "of 1"))
        rows.append(report.row(f"{name}: raw axes, factors shuffled", score(codes, shuffled), "of 1"))
        some = turns[: DRAWS if score is gap else 2]
        rows.append(report.row(f"{name}: random directions", float(np.mean([score(codes @ turn, known) for turn in some])), "of 1"))
        most = score(amounts(codes, fitted(codes, known)), known)
        rows.append(report.row(f"{name}: fitted to the factors themselves, {len(known)} sliders", most, "of 1"))
        rows.append(report.row(f"{name}: fitted to the factors themselves / raw axes", most / raw, "times"))
        for way, found in ways.items():
            value = float(np.mean([score(along(codes, f), known) for f in (found if score is gap else found[:1])]))
            rows.append(report.row(f"{name}: {way}, {len(found[0])} sliders", value, "of 1"))
            target = f">= {TIMES.get(preset, 2)}" if way == "curved" else ""
            rows.append(report.row(f"{name}: {way} / raw axes", value / raw, "times", target))
    for way in (way for way in ways if way.startswith(("best", "curved"))):
        report.say(f"  {preset}, {way}: {', '.join(filter(None, ways[way][0].names))}")
    return rows


def shipped() -> list[dict[str, Any]]:
    """The rows of the checkpoints that come with the program."""
    rows = []
    for c in checkpoint.shelf(files.shipped()):
        built, took = checkpoint.load(c), []
        if not built.smooth:
            continue
        for _ in range(ROUNDS):
            began = time.monotonic()
            found = latent.directions(built, "best", c.modality.measures, seed=c.manifest.run.seed)
            took.append(time.monotonic() - began)
        rows.append(report.row(f"{c.name}: search for its sliders, median of {ROUNDS}", statistics.median(took), "s"))
        began = time.monotonic()
        with contextlib.suppress(latent.DirectionsError):
            latent.directions(built, "curved", c.modality.measures, seed=c.manifest.run.seed)
            rows.append(report.row(f"{c.name}: search for curved ones", time.monotonic() - began, "s"))
        rows.append(report.row(f"{c.name}: sliders with a name", sum(map(bool, found.names)), f"of {len(found)}"))
    return rows


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    steps = QUICK_STEPS if asked.quick else STEPS
    rows = [row for preset in PRESETS for row in scored(preset, steps, asked.quick)] + shipped()
    report.finish("directions", rows, asked)


if __name__ == "__main__":
    main()
