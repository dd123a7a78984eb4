"""Mathematics on latents: directions that mean something, and the points on and between them."""

from .directions import Directions, directions
from .points import mixed, moved, on_lattice, slerp

__all__ = ["Directions", "directions", "mixed", "moved", "on_lattice", "slerp"]
