"""Edits of clips: Keras layers for training and models, and a stream for files.

Example:

>>> import numpy as np
>>> from vgzoo import edit
>>> clip = np.full((4, 8, 8, 3), 100, "uint8")
>>> grade = edit.Sequential([edit.Exposure(0.5), edit.Saturation(edit.Keyframes({0: 1, 3: 0}))])
>>> np.asarray(grade(clip)).shape
(4, 8, 8, 3)
"""

from vgzoo.edit.base import Edit
from vgzoo.edit.camera import EquirectView, ZoomPan
from vgzoo.edit.colour import (
    Greyscale,
    Hue,
    Saturation,
    Sepia,
    Temperature,
    Vibrance,
    WhiteBalance,
)
from vgzoo.edit.composition import Overlay, PictureInPicture, SideBySide, Text, Watermark
from vgzoo.edit.curves import Curves
from vgzoo.edit.edges import Canny, Edges, Emboss
from vgzoo.edit.effects import Bloom, ChromaticAberration, Pixelate, RadialBlur
from vgzoo.edit.filters import (
    Bilateral,
    Blur,
    BoxBlur,
    Median,
    MotionBlur,
    Sharpen,
)
from vgzoo.edit.footage import Footage
from vgzoo.edit.frame import Crop, Flip, Pad
from vgzoo.edit.geometry import Affine, Elastic, Lens, Perspective, Rotate
from vgzoo.edit.histogram import Clahe, Equalize
from vgzoo.edit.keyframes import Keyframes
from vgzoo.edit.look import ChromaKey, Grain, Vignette
from vgzoo.edit.lut import Lut
from vgzoo.edit.match import ColourMatch, HistogramMatch
from vgzoo.edit.neural import Colorize, Inpaint, Interpolate, Restore, Superresolve
from vgzoo.edit.random_edit import Random
from vgzoo.edit.registry import build, names
from vgzoo.edit.resizing import Letterbox, Resize
from vgzoo.edit.sequential import Sequential, from_json, parse, to_json
from vgzoo.edit.stabilise import Stabilise
from vgzoo.edit.temporal import Deflicker, Denoise, Echo, TemporalMedian
from vgzoo.edit.time import Freeze, Loop, PingPong, Resample, Reverse, Speed, Trim
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
from vgzoo.edit.transition import CrossFade, Wipe

__all__ = [
    "Affine",
    "Bilateral",
    "Bloom",
    "Blur",
    "BoxBlur",
    "Brightness",
    "Canny",
    "ChromaKey",
    "ChromaticAberration",
    "Clahe",
    "ColourMatch",
    "Colorize",
    "Contrast",
    "Crop",
    "CrossFade",
    "Curves",
    "Deflicker",
    "Denoise",
    "Echo",
    "Edges",
    "Edit",
    "Elastic",
    "Emboss",
    "Equalize",
    "EquirectView",
    "Exposure",
    "Flip",
    "Footage",
    "Freeze",
    "Gamma",
    "Grain",
    "Greyscale",
    "HistogramMatch",
    "Hue",
    "Inpaint",
    "Interpolate",
    "Invert",
    "Keyframes",
    "Lens",
    "Letterbox",
    "Levels",
    "Loop",
    "Lut",
    "Median",
    "MotionBlur",
    "Overlay",
    "Pad",
    "Perspective",
    "PictureInPicture",
    "PingPong",
    "Pixelate",
    "Posterize",
    "RadialBlur",
    "Random",
    "Resample",
    "Resize",
    "Restore",
    "Reverse",
    "Rotate",
    "Saturation",
    "Sepia",
    "Sequential",
    "Sharpen",
    "SideBySide",
    "Solarize",
    "Speed",
    "Superresolve",
    "Temperature",
    "TemporalMedian",
    "Stabilise",
    "Text",
    "Trim",
    "Vibrance",
    "Vignette",
    "Watermark",
    "WhiteBalance",
    "Wipe",
    "ZoomPan",
    "build",
    "from_json",
    "names",
    "parse",
    "to_json",
]
