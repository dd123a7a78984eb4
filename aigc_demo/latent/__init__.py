"""Mathematics on latents: directions that mean something, and the points on and between them."""

from .curve import Curve
from .directions import METHODS, Directions, directions
from .points import mixed, moved, on_lattice, slerp
from .truth import MOST, DirectionsError, Known, own

__all__ = [
    "METHODS", "MOST", "Curve", "Directions", "DirectionsError", "Known", "directions", "mixed", "moved", "on_lattice", "own", "slerp"
]  # fmt: skip
