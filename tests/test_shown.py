"""What a model in training is looked at by: small pictures that stay small files."""

import numpy as np
from tiny import clip_batch

import vgzoo
from vgzoo.train.shown import fewer_colours

SPEC = {"frames": 5, "height": 24, "width": 20}


def test_fewer_greys_are_as_near_as_can_be():
    clips = clip_batch(SPEC | {"channels": 1}, 3)
    few = fewer_colours(clips)
    assert few.dtype == np.uint8 and few.shape == clips.shape
    assert len(np.unique(few)) <= 32 and {0, 255} <= set(np.unique(few))
    assert np.abs(few.astype(int) - clips).max() <= 5  # half of 255 / 31
    np.testing.assert_array_equal(fewer_colours(few), few)


def test_fewer_colours_are_near_and_make_a_smaller_gif(tmp_path):
    ramp = np.linspace(0, 255, 64)
    one = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 128), axis=-1).astype("uint8")
    clips = np.stack([np.roll(one, 4 * i, axis=1) for i in range(4)])[None]
    few = fewer_colours(clips)
    assert few.dtype == np.uint8 and few.shape == clips.shape
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 64
    assert np.abs(few.astype(int) - clips).mean() < 12
    sizes = []
    for name, shown in (("all.gif", clips), ("few.gif", few)):
        vgzoo.write(tmp_path / name, shown, fps=8)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
