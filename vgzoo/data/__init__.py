"""Real images, set in motion."""

from vgzoo.data.banks import images
from vgzoo.data.clips import clips

__all__ = ["clips", "images"]
