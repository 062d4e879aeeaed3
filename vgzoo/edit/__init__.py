"""Edits of clips: Keras layers for training and models, and a stream for files.

Example:

>>> import numpy as np
>>> from vgzoo import edit
>>> clip = np.full((4, 8, 8, 3), 100, "uint8")
>>> grade = edit.Sequential([edit.Exposure(0.5), edit.Contrast(edit.Keyframes({0: 1, 3: 0}))])
>>> np.asarray(grade(clip)).shape
(4, 8, 8, 3)
"""

from vgzoo.edit.base import Edit, Footage, build, names
from vgzoo.edit.keyframes import Keyframes
from vgzoo.edit.random_edit import Random
from vgzoo.edit.sequential import Sequential, from_json, parse, to_json
from vgzoo.edit.tone import (
    Brightness,
    Contrast,
    Exposure,
    Gamma,
    Invert,
    Levels,
    Posterize,
    Solarize,
)

__all__ = [
    "Brightness",
    "Contrast",
    "Edit",
    "Exposure",
    "Footage",
    "Gamma",
    "Invert",
    "Keyframes",
    "Levels",
    "Posterize",
    "Random",
    "Sequential",
    "Solarize",
    "build",
    "from_json",
    "names",
    "parse",
    "to_json",
]
