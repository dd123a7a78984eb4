"""How well do the shipped models write, and how fast?

Tiny Shakespeare: nats a character of the last tenth, by one full pass (every character once, after at least half a context) and by
nanoGPT's way (200 batches of 64 windows), beside a Kneser-Ney of the five characters before; how long the model was trained; what share of
the runs of 50 characters of 20 texts was in the training text, and how long it takes to tell. Tang poems: the share of 200 poems, titles
drawn from the held-out ones, whose verses are as many and as long as the form asks for. Writing 256 tokens, one text at a time, beside a
loop without a cache; training at nanoGPT's CPU size (tied head, no counts, squared ReLU for GELU; what stays ours are QK-norm, rotary
positions and RMSNorm) beside the same network in its kind of loop, and beside its own network there, in turn; ours in bf16 where the CPU
gains by it (AMX), nanoGPT's in fp32 as it trains on any CPU, and there in bf16 as well. Nothing that ships is trained here.

--quick scores 10,000 characters, writes 5 texts and 12 poems, and takes 3 short rounds."""

from __future__ import annotations

import re
import statistics
import time
from typing import Any

import torch
from torch import nn

from aigc_demo import checkpoint, data, files, trainer
from aigc_demo.config import Run
from aigc_demo.data import poems
from aigc_demo.engine import Engine, Request, Warm
from aigc_demo.evaluation import texts
from aigc_demo.modalities.text import Modality
from aigc_demo.model import build, draw_latents, plan

from . import plain_gpt, report
from .train import in_turn, ratio

SIZE = {"width": 128, "depth": 4, "heads": 4}  # nanoGPT's on a CPU: context 64, batch 12
CONTEXT, BATCH = 64, 12


def shipped(engine: Engine, name: str) -> Warm:
    """A shipped checkpoint, loaded; ends the benchmark where it is not here."""
    try:
        return engine.warm(name)
    except checkpoint.CheckpointError as error:
        report.give_up(str(error))


def scores(engine: Engine, warm: Warm, quick: bool) -> list[dict[str, Any]]:
    """How well the text's end is foretold."""
    run = warm.checkpoint.manifest.run
    training, held = data.load(run.data, run.seed, given=warm.checkpoint.modality).split(run.data.validation, run.seed)
    seen = texts.score(engine, warm, held.tokens[:10_000] if quick else held.tokens, training.tokens, lambda done: None)
    crops = texts.crops(engine, warm, held.tokens, 0, 4 if quick else texts.CROPS, 16 if quick else texts.BATCH)
    made = warm.checkpoint.manifest.training
    return [
        report.row(f"{warm.checkpoint.name}: nats a character, full pass", seen.nats, "nats", "<= 1.56"),
        report.row("the same, and the moonshot", seen.nats, "nats", "<= 1.5"),
        report.row("standard error", seen.error, "nats"),
        report.row("counting alone, Kneser-Ney of 5 characters", seen.counted, "nats"),
        report.row("nats a character by nanoGPT's way", crops.nats, "nats"),
        report.row(f"trained on {made.machine}", made.seconds, "s", "<= 301"),
    ]


def copies(engine: Engine, warm: Warm, count: int) -> list[dict[str, Any]]:
    """What was copied, and how long it takes to tell."""
    name, shares, spent = warm.checkpoint.name, [], []
    samples = engine.draw([Request(name, 1, i, sampling={"length": 500, "temperature": 1.0}) for i in range(count)])
    written = [warm.checkpoint.modality.text(s.item) for s in samples]
    for text in written:
        began = time.perf_counter()
        found = texts.copied(warm, text)
        spent.append(1000 * (time.perf_counter() - began))
        shares.append(100 * found[0] if found else 0.0)
    return [
        report.row(f"runs of 50 characters that were copied, {count} texts of 500", statistics.fmean(shares), "%"),
        report.row("time to tell, 500 characters", statistics.median(spent), "ms", "<= 20"),
    ]


def forms(engine: Engine, warm: Warm, count: int) -> list[dict[str, Any]]:
    """Whether poems keep their form."""
    run, modality = warm.checkpoint.manifest.run, warm.checkpoint.modality
    _, held = data.load(run.data, run.seed, given=modality).split(run.data.validation, run.seed)
    titles = list(re.findall(r"《([^》\n]{1,12})》", modality.text(held.tokens)))[:count]
    kept, shares = 0, []
    for i, title in enumerate(titles):
        form = list(poems.FORMS)[i % len(poems.FORMS)]
        prompt = poems.prompt(title, form)
        asked = Request(warm.checkpoint.name, 1, i, sampling={**poems.SAMPLING, "prompt": prompt, "length": 100})
        poem = "".join(p.text for p in texts.pieces(engine, asked))
        kept += poems.keeps(poem, form)
        found = texts.copied(warm, poem)
        shares += [found[0]] if found else []
    return [
        report.row(f"{warm.checkpoint.name}: poems of {len(titles)} that keep their form", kept / len(titles), "share", ">= 0.95"),
        report.row("their runs of 14 characters that were copied", 100 * statistics.fmean(shares), "%"),
    ]


def generation(warm: Warm, rounds: int) -> list[dict[str, Any]]:
    """Writing with the cache beside looking at all that was written anew for each token."""
    model, length = warm.model, 256
    latent, sampling = draw_latents(model.latent, 0, [0]), model.Sampling(length=length)

    @torch.inference_mode()
    def cached() -> None:
        model.sample(latent, sampling)

    @torch.inference_mode()
    def without() -> None:
        x = model.start("")[None]
        for _ in range(length):
            p = (model.logits(x[:, -warm.checkpoint.modality.context :])[:, -1] / sampling.temperature).softmax(1)
            x = torch.cat([x, torch.multinomial(p, 1)], 1)

    spent: dict[str, list[float]] = {"cached": [], "without": []}
    for number in range(rounds + 1):
        for name, write in (("cached", cached), ("without", without)):
            began = time.perf_counter()
            write()
            if number:
                spent[name].append(time.perf_counter() - began)
    return [
        report.row("writing 256 tokens, one text", length / statistics.median(spent["cached"]), "tokens/s"),
        report.row("the same without a cache / ours", ratio(spent["without"], spent["cached"]), "times", ">= 3"),
    ]


class Foretells(nn.Module):
    """Our network of a run as one that gives logits."""

    def __init__(self, run: Run, modality: Modality):
        super().__init__()
        self.network = build(run, modality, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network.logits(x)


def training(rounds: int, steps: int) -> list[dict[str, Any]]:
    """Tokens a second of a training, of the same network in a loop of nanoGPT's kind, and of nanoGPT's network there: as many weights,
    batches of one size, the sides in turn."""
    settings = {f"model.{k}": v for k, v in SIZE.items()} | {"model.hidden": 4 * SIZE["width"], "model.activation": "relu2"}
    settings |= {"model.tied": True, "model.counts": 0, "data.size": CONTEXT, "train.batch": BATCH, "train.ema": 0.0}
    ours = trainer.Trainer(plan("gpt:shakespeare", {**settings, "device": "cpu"}))

    def go(count: int) -> int:
        for _ in range(count):
            ours.one_step(0.5)
        return count * BATCH * CONTEXT

    text, tokens = ours.training.tokens, len(ours.modality.pieces)
    sides = {
        "ours": go,
        "our network in nanoGPT's loop": plain_gpt.Loop(Foretells(ours.run, ours.modality), text, CONTEXT, BATCH),
        "nanoGPT's": plain_gpt.Loop(plain_gpt.GPT(tokens, CONTEXT, **SIZE), text, CONTEXT, BATCH),
    }
    if trainer.amx():  # what ours takes by itself, and nanoGPT on a CPU does not
        sides["nanoGPT's, were it in bf16"] = plain_gpt.Loop(plain_gpt.GPT(tokens, CONTEXT, **SIZE), text, CONTEXT, BATCH, half=True)
    rates = in_turn(sides, steps, rounds)
    rows = [report.row(f"training, {name}", statistics.median(rate), "tokens/s") for name, rate in rates.items()]
    mine, loop, other, *_ = rates.values()
    return [
        *rows,
        report.row("training, ours / the same network in nanoGPT's loop", ratio(mine, loop), "times", ">= 1"),
        report.row("training, ours / nanoGPT's network and loop", ratio(mine, other), "times", ">= 1"),
    ]


def rows(quick: bool) -> list[dict[str, Any]]:
    """All figures."""
    engine = Engine()
    prose, verse = shipped(engine, "shakespeare-gpt"), shipped(engine, "tang-gpt")
    found = [*scores(engine, prose, quick), *copies(engine, prose, 5 if quick else 20)]
    if data.present(next(s for s in data.sources() if s.name == "tang")):
        found += forms(engine, verse, 12 if quick else 200)
    else:
        report.say("tang: not here, so that no titles can be drawn: set AIGC_DATA")
    return [
        *found,
        report.row("largest of the two checkpoints", max(map(_size, (prose, verse))), "MB", "<= 10"),
        *generation(prose, 2 if quick else 7),
        *training(2 if quick else 7, 10 if quick else 100),
    ]


def _size(warm: Warm) -> float:
    return sum(f.stat().st_size for f in (files.shipped() / warm.checkpoint.name).iterdir()) / 1e6


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    found = rows(asked.quick)
    report.finish("text", found, asked)


if __name__ == "__main__":
    main()
