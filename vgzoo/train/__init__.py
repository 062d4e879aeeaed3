"""Training by recipe."""

from vgzoo.train.recipes import names
from vgzoo.train.trainer import train

__all__ = ["names", "train"]
