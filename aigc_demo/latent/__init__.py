"""Mathematics on latents: directions that mean something, and the points on and between them."""

from .directions import Directions, directions
from .points import moved, slerp

__all__ = ["Directions", "directions", "moved", "slerp"]
