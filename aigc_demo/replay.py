"""Work that a GPU is told once and then repeats (CUDA graphs: Nguyen et al. 2021, "Accelerating PyTorch with CUDA Graphs").

A step of a small network is hundreds of kernels of a few microseconds; telling the GPU of each takes longer than the kernel does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Replay:
    """`work(*tensors)`, which returns terms by name, as a recording: calls are given other numbers in tensors of the same shapes.

    The work must be the same whatever the numbers are, draw from the GPU's default generator, and wait for no number on the way. Raises
    RuntimeError where it cannot be recorded. What it changes, such as weights, stays where it lies."""

    def __init__(self, work: Callable[..., dict[str, Tensor]], given: Sequence[Tensor | None]):
        self.given = [None if v is None else v.clone() for v in given]  # a clone keeps the memory layout
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):  # asked, not done: the first call does it
            self.found = work(*self.given)

    def __call__(self, *given: Tensor | None) -> dict[str, Tensor]:
        for place, v in zip(self.given, given, strict=True):
            if place is not None:
                place.copy_(v)
        self.graph.replay()
        return {k: v.clone() for k, v in self.found.items()}
