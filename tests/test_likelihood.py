"""How likely a model finds a test set: the estimate against one that spares nothing, and the baseline against torch's distributions."""

import json
import math

import pytest
import torch
from torch import distributions

from aigc_demo import data
from aigc_demo.config import Data
from aigc_demo.engine import Engine
from aigc_demo.evaluation import likelihood
from aigc_demo.evaluation.likelihood import FEW


@pytest.fixture(scope="module")
def digits():
    spec = Data(source="digits", size=16, channels=1)
    return data.load(spec, part="test"), data.load(spec)


def of(found, digits, samples, whole, seed=0):
    engine = Engine()
    return likelihood.likelihood(engine, engine.warm(found), *digits, samples, whole, seed)


def test_a_few_items_with_all_draws_correct_the_others(all_made, digits):
    found = all_made["vae"]
    spared, whole = of(found, digits, 400, 60), of(found, digits, 400, len(digits[0]))
    assert (spared.items, spared.whole, spared.samples) == (len(digits[0]), 60, 400)
    assert (whole.whole, whole.short) == (len(digits[0]), 0)
    few = of(found, digits, FEW, 10)
    assert few.whole == len(digits[0]), "where all get as few, none are spared"
    assert abs(spared.nats - whole.nats) < 4 * spared.short  # the pixels are drawn alike
    assert 0 < spared.short < spared.error / 4, "the difference is of the latents alone"
    assert whole.nats < few.nats
    assert whole.error == pytest.approx(spared.error, rel=0.3)
    assert "p given its class" in whole.protocol
    assert "dynamic binarisation" in whole.protocol
    assert spared == of(found, digits, 400, 60)


def test_independent_pixels_are_those_of_torch(digits):
    test, train = (part.modality.encode(part.items) for part in digits)
    white = ((train + 1) / 2).double().sum(0).add(1) / (len(train) + 2)
    drawn = (torch.rand(400, *test.shape, generator=torch.Generator().manual_seed(0)) < (test + 1) / 2).double()
    expected = -distributions.Bernoulli(white).log_prob(drawn).flatten(2).sum(2).mean()
    assert likelihood.trivial(train, test, "bernoulli") == pytest.approx(expected.item(), rel=1e-3)
    mean, deviation = train.double().mean(0), train.double().std(0).clamp(min=2 / 255)
    expected = -distributions.Normal(mean, deviation).log_prob(test.double()).flatten(1).sum(1).mean()
    assert likelihood.trivial(train, test, "gaussian") == pytest.approx(expected.item(), rel=1e-6)


def test_a_family_without_a_likelihood_and_items_of_another_size_are_refused_in_a_sentence(all_made, digits):
    with pytest.raises(likelihood.EvaluationError, match="gan-toy is a gan, which tells no likelihood; a vae does"):
        of(all_made["gan"], digits, 10, 10)
    larger = [data.load(Data(source="digits", size=20, channels=1, limit=10), part=part) for part in ("test", "train")]
    with pytest.raises(likelihood.EvaluationError, match=r"of \(1, 16, 16\), and these are of \(1, 20, 20\)"):
        of(all_made["vae"], larger, 10, 10)


def test_evaluate_says_the_score_its_error_its_protocol_and_the_baseline(all_made, aigc):
    name = all_made["vae"].name
    words = ("evaluate", name, "--samples", 60, "--items", 20, "--limit", 40)
    code, said, _ = aigc(*words)
    assert code == 0
    assert "40 test items of digits, dynamic binarisation" in said
    assert "60 importance samples for 20 of them" in said
    told = json.loads(aigc(*words, "--json")[1])
    assert f"-log p(x) = {told['nats']:.2f} ± {told['error']:.2f} nats" in said
    assert f"independent pixels: {told['trivial']:.2f} nats" in said
    assert math.isfinite(told["nats"])
    assert told["nats"] != json.loads(aigc(*words, "--seed", 1, "--json")[1])["nats"]
    assert aigc("evaluate", all_made["gan"].name)[0] == 2
    assert aigc("evaluate", name, "--data", "nowhere")[0] == 2
