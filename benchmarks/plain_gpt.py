"""A GPT as nanoGPT has it (LayerNorm, GELU, learnt positions) in the plain loop of its kind: what ours is trained beside."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and a dense layer of four times the width: h (B, T, W) -> (B, T, W)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False))

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(h)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = h + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return h + self.dense(self.norm2(h))


class GPT(nn.Module):
    """Tokens (B, T) -> logits (B, T, vocabulary)."""

    def __init__(self, vocabulary: int, context: int, width: int, depth: int, heads: int):
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embed.weight
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 * (2 * depth) ** -0.5 if name.endswith(("out.weight", "dense.2.weight")) else 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(x) + self.place.weight[: x.shape[1]])))


class Loop:
    """Training steps of a network on a text (T,): batches drawn anywhere in it, AdamW with nanoGPT's settings at the rate of the step; in
    fp32, as nanoGPT does on a CPU, or `half` in bf16."""

    def __init__(
        self,
        model: nn.Module,
        text: Tensor,
        context: int,
        batch: int,
        rate: Callable[[int], float] = lambda step: 1e-3,
        half: bool = False,
    ):
        self.model, self.text, self.context, self.batch, self.rate, self.step = model, text, context, batch, rate, 0
        self.half = half
        matrices, others = ([p for p in model.parameters() if (p.dim() == 2) is wide] for wide in (True, False))
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=rate(0), betas=(0.9, 0.99), fused=True)

    def __call__(self, steps: int) -> int:
        """Takes so many steps, and says how many tokens they were."""
        for _ in range(steps):
            rate = self.rate(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            starts = torch.randint(len(self.text) - self.context, (self.batch,)).tolist()
            x = torch.stack([self.text[i : i + self.context].long() for i in starts])
            y = torch.stack([self.text[i + 1 : i + self.context + 1].long() for i in starts])
            with torch.autocast("cpu", torch.bfloat16, self.half):
                loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
        return steps * self.batch * self.context
