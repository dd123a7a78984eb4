"""The magnitudes behind a log-mel spectrogram, learnt: where a voice's partials lie between the bands cannot be solved for, only known.

A backbone of ConvNeXt blocks along time, as in Vocos (Siuzdak 2023, arXiv:2306.00814; the block: Liu et al. 2022, arXiv:2201.03545)."""

from __future__ import annotations

from torch import Tensor, nn


class Block(nn.Module):
    """h (N, W, T) -> (N, W, T): each channel looks along time, then all channels are mixed in each moment."""

    def __init__(self, width: int):
        super().__init__()
        self.along = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.mix(self.norm(self.along(h).transpose(1, 2))).transpose(1, 2)


class Vocoder(nn.Module):
    """Levels of mel bands (N, bands, T) from -1 to 1, the lowest first -> levels of frequencies (N, bins, T) on the same scale."""

    def __init__(self, bands: int, bins: int, width: int = 128, depth: int = 4):
        super().__init__()
        self.inward = nn.Conv1d(bands, width, 7, padding=3)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.outward = nn.Linear(width, bins)
        self.skip = nn.Conv1d(bands, bins, 1)

    def forward(self, levels: Tensor) -> Tensor:
        h = self.norm(self.blocks(self.inward(levels)).transpose(1, 2))
        return self.skip(levels) + self.outward(h).transpose(1, 2)
