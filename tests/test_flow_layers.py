"""What normalizing flows over patches are made of."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, special, stats
from tiny import scramble

from vgzoo.layers import probit
from vgzoo.layers.anticipation import mismatch, shifts, steady, ways
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import Marginal
from vgzoo.layers.mixture_flow import MixtureFlow
from vgzoo.layers.spacetime import space_to_depth
from vgzoo.layers.transformer import TransformerLayer, turned

RNG = np.random.default_rng(0)


def test_single_pixels_become_gaussian():
    layer = Marginal()
    layer.build((None, 2))
    share = RNG.dirichlet(np.ones(256), 2)
    layer.logits.assign(np.log(share).ravel() / 30)
    levels = np.stack([RNG.choice(256, 20_000, p=p) for p in share], axis=-1)
    x = ((levels + RNG.uniform(size=levels.shape)) / 128 - 1).astype("float32")
    value, slope = layer(tf.constant(x))
    for c in range(2):
        assert stats.kstest(np.asarray(value)[:, c], "norm").statistic < 0.02
    np.testing.assert_allclose(layer.invert(value), x, atol=2e-4)
    # Its density is each level's share over that level's width.
    density = stats.norm.logpdf(np.asarray(value)) + np.asarray(slope)
    wanted = np.log(np.stack([share[c][levels[:, c]] for c in range(2)], axis=-1) * 128)
    np.testing.assert_allclose(density, wanted, atol=1e-2)


def test_only_how_far_apart_tokens_are_counts():
    layer = TransformerLayer(16, 2)
    x = tf.constant(RNG.normal(size=(1, 5, 16)).astype("float32"))
    layer.build(x.shape)
    scramble(layer, scale=1.0)
    mask, times = np.tril(np.ones((5, 5), bool)), np.array([0, 0, 1, 1, 2], "float32")
    out, (keys, _) = layer(x, mask, times)
    later, (moved, _) = layer(x, mask, times + 40)
    np.testing.assert_allclose(out, later, atol=2e-5)
    assert np.abs(moved - keys).max() > 0.1
    q = tf.constant(RNG.normal(size=(1, 1, 1, 8)).astype("float32"))
    turn = np.asarray(turned(q, np.array([3.0], "float32")))
    np.testing.assert_allclose(np.linalg.norm(turn), np.linalg.norm(q), rtol=1e-5)


def test_a_layer_goes_on_from_what_it_remembers():
    layer = TransformerLayer(16, 2)
    x = tf.constant(RNG.normal(size=(2, 6, 16)).astype("float32"))
    layer.build(x.shape)
    scramble(layer, scale=1.0)
    mask, times = np.tril(np.ones((6, 6), bool)), np.arange(6, dtype="float32")
    whole, _ = layer(x, mask, times)
    _, past = layer(x[:, :4], mask[:4, :4], times[:4])
    apart = [[part[:, :, :3] for part in past], [part[:, :, 3:] for part in past]]
    for parts in ([past], apart):
        rest, _ = layer(x[:, 4:], mask[4:], times[4:], parts)
        np.testing.assert_allclose(rest, whole[:, 4:], atol=2e-5)


@pytest.mark.parametrize("window", [2, 3])
def test_a_window_is_read_frame_by_frame_as_it_is_at_once(window):
    frames, tokens = 5, 3
    layer = TransformerLayer(16, 2)
    x = tf.constant(RNG.normal(size=(2, frames * tokens, 16)).astype("float32"))
    layer.build(x.shape)
    scramble(layer, scale=1.0)
    flow = AutoregressiveFlow(width=16, heads=2, depth=1, window=window)
    index = np.arange(frames * tokens)
    times = (index // tokens).astype("float32")
    whole, _ = layer(x, flow._sees(index, index, tokens), times)
    mask = flow._window(frames, tokens)
    assert mask.shape == (frames, tokens, window * tokens)
    np.testing.assert_allclose(layer(x, mask, times)[0], whole, atol=2e-5)


def test_a_flow_goes_on_from_where_it_stopped():
    flow = AutoregressiveFlow(width=8, heads=2, depth=2, window=2, backward=True, told=5)
    flow.build((None, 4, 4, 3))
    scramble(flow)
    noise = tf.constant(RNG.normal(size=(2, 4, 4, 3)).astype("float32"))
    about = tf.constant(RNG.normal(size=(2, 4, 4, 5)).astype("float32"))
    whole, _ = flow.invert(noise, 2, about)
    first, state = flow.invert(noise[:, :1], 1, about[:, :1])
    rest, _ = flow.invert(noise[:, 1:], 4, about[:, 1:], state)
    np.testing.assert_allclose(tf.concat([first, rest], axis=1), whole, atol=1e-4)
    again, _ = flow(whole, about)
    np.testing.assert_allclose(again, noise, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_is_laid_out_in_all_its_shifts(channels):
    frame = RNG.integers(1, 256, (2, 12, 8, channels)).astype("float32")
    found = np.asarray(shifts(tf.constant(frame), 4, 2))
    assert found.shape == (2, 6, 16 * channels, 25)
    wide = np.pad(frame, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for i, (y, x) in enumerate(ways(2)):
        moved = wide[:, 2 - y : 14 - y, 2 - x : 10 - x]
        wanted = np.asarray(space_to_depth(tf.constant(moved), 4)).reshape(2, 6, -1)
        np.testing.assert_array_equal(found[..., i], wanted)
    # A frame that moved is matched by its motion alone, but at the edge.
    later = np.roll(frame, (1, -2), axis=(1, 2))
    tokens = np.asarray(space_to_depth(tf.constant(later), 4)).reshape(2, 6, -1)
    away = np.asarray(mismatch(tf.constant(tokens), found))
    inside = away[:, 2]  # the second row of places, which nothing comes into from beyond
    assert inside[:, ways(2).index((1, -2))].max() == 0
    assert np.delete(inside, ways(2).index((1, -2)), axis=1).min() > 0.8


def test_what_moves_goes_on_as_it_moved_or_nearly():
    """What is said of each patch of a whole-pixel path, which alternates between two ways."""
    spots = RNG.integers(1, 256, (1, 12, 12, 1))
    frames = np.zeros((3, 64, 64, 1))
    for frame, (top, left) in zip(frames, [(20, 30), (22, 29), (25, 28)], strict=True):
        frame[top : top + 12, left : left + 12] = spots
    tokens = np.asarray(space_to_depth(tf.constant(frames), 4)).reshape(3, 256, 16)
    moved = np.asarray(mismatch(tokens[1:2], shifts(tf.constant(frames[:1]), 4, 4)))
    found = np.asarray(steady(tf.constant(moved), 16))

    volume = moved.reshape(16, 16, 81)
    against = sum(
        weight * side**2 * ndimage.uniform_filter(volume, (side, side, 1), mode="constant")
        for side, weight in ((3, 2.0), (7, 1.0))
    )
    last = special.softmax(-against, axis=-1).reshape(256, 9, 9)
    binomial = np.outer([1, 2, 1], [1, 2, 1])[None] / 16
    wanted = ndimage.convolve(last, binomial, mode="constant").reshape(1, 256, 81)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    here = found[0].reshape(16, 16, 81)[25 // 4 + 1, 28 // 4 + 1]
    assert here[ways(4).index((2, -1))] > 0.24 and here[ways(4).index((3, -1))] > 0.12
    assert np.ptp(found[0, 0]) < 0.02, "where nothing moves every way is as likely, edges less"


def test_the_normal_distribution_is_exact_in_its_tails():
    value = np.linspace(-9, 9, 5001).astype("float32")
    below, above = (np.asarray(x) for x in probit.tails(tf.constant(value)))
    wide = value.astype("float64")
    np.testing.assert_allclose(below, stats.norm.cdf(wide), rtol=1e-5)
    np.testing.assert_allclose(above, stats.norm.sf(wide), rtol=1e-5)
    np.testing.assert_allclose(probit.quantile(below, above), value, atol=1e-5)


def test_what_moved_becomes_gaussian_at_the_cost_of_knowing_it():
    """Tokens of a chain: each pixel as the one before it came, or by a component drawn anew."""
    flow = MixtureFlow(ways=3, patches=2, columns=2, width=8, heads=2, depth=1, window=1)
    flow.build((None, 1, 2, 4))
    # What is said before anything is learned: a bias. Neighbours say nothing here.
    start, anew = np.array([0.5, 0.25, 0.1, 0.1, 0.05]), 0.2
    flow.affine.bias.assign([*np.log(start), 3 + np.log(0.19 / 0.8)])
    flow.alike.assign(np.zeros(3))
    # Learned patches: black, fifteen ranges of 16 levels, one of 12, and white; in each, levels as
    # often as they come at all. A thousandth goes to all alike.
    edges = np.array([0, 1, *range(17, 242, 16), 253, 256])
    book = RNG.normal(size=(4, 18, 2)) * 2
    flow.codebook.assign(book.ravel() / 30)
    bins = np.exp(book) / np.exp(book).sum(axis=1, keepdims=True)
    bins = 0.999 * bins + 0.001 * np.diff(edges)[:, None] / 256
    share = RNG.dirichlet(np.ones(256))
    flow.logits.assign(np.log(share) / 30)
    share = 0.999 * share + 0.001 / 256
    patches = np.concatenate(
        [
            bins[:, k, None] * (share[a:b] / share[a:b].sum())[:, None]
            for k, (a, b) in enumerate(zip(edges, edges[1:], strict=False))
        ],
        axis=1,
    )  # (4, 256, 2)
    np.testing.assert_allclose(patches.sum(axis=1), 1, rtol=1e-6)
    count = 20_000
    shown = RNG.integers(0, 256, (count, 1, 2, 4, 3))
    which = RNG.choice(5, (count, 1, 2, 4), p=start)
    for p in range(1, 4):
        kept = RNG.uniform(size=which[..., p].shape) > anew
        which[..., p] = np.where(kept, which[..., p - 1], which[..., p])
    moved = np.take_along_axis(shown, (which % 3)[..., None], axis=4)[..., 0]
    level = moved
    for p, j in itertools.product(range(4), range(2)):
        new = RNG.choice(256, which[..., p].shape, p=patches[p, :, j])
        level[..., p] = np.where(which[..., p] == 3 + j, new, level[..., p])
    x = ((level + RNG.uniform(0.01, 0.99, level.shape)) / 128 - 1).astype("float32")
    value, found = flow(tf.constant(x), shown=tf.constant(shown.astype("uint8")))
    assert stats.kstest(np.asarray(value).ravel(), "norm").statistic < 0.01
    back, _ = flow.invert(value[:64], shown=tf.constant(shown[:64].astype("uint8")))
    np.testing.assert_allclose(back, x[:64], atol=1e-4)
    # The chain's likelihood by the forward algorithm.
    density = stats.norm.logpdf(np.asarray(value)).sum(axis=(1, 2, 3)) + np.asarray(found)
    chance, wanted = np.tile(start, (count, 1, 2, 1)), 0
    for p in range(4):
        likely = (shown[..., p, :] == level[..., p, None]).astype(float)
        joint = chance * np.concatenate([likely, patches[p][level[..., p]]], axis=-1)
        total = joint.sum(axis=-1, keepdims=True)
        wanted = wanted + np.log(128 * total[..., 0])
        chance = (1 - anew) * joint / total + anew * start
    np.testing.assert_allclose(density, wanted.sum(axis=(1, 2)), atol=0.02)


def test_tokens_are_found_as_well_sixteen_at_a_time():
    """As many as levels are tried at once."""
    flow = MixtureFlow(ways=3, patches=2, columns=16, width=8, heads=2, depth=1, window=1)
    flow.build((None, 1, 16, 2))
    to_tokens = flow._to_tokens()
    told = RNG.normal(size=(2, 16, 2)), RNG.normal(size=(2, 16, 6))
    told = [*told, RNG.integers(0, 256, (2, 16, 2, 3))]
    told = [tf.constant(x.astype("float32")) for x in told]
    whole = to_tokens(*told)
    halves = [to_tokens(*(x[:, i : i + 8] for x in told)) for i in (0, 8)]
    np.testing.assert_allclose(whole, tf.concat(halves, axis=1), atol=1e-5)


def test_neighbours_move_alike():
    """Of the tokens beside and above, those that moved one way speak for it, wherever that is."""
    flow = MixtureFlow(ways=3, patches=2, columns=3, width=8, heads=2, depth=1, window=1)
    flow.build((None, 1, 9, 2))
    assert flow.offsets == (1, 2, 3, 4)
    shown = RNG.integers(0, 256, (1, 1, 9, 2, 3)).astype("uint8")
    level = RNG.integers(0, 256, (1, 1, 9, 2))
    shown[0, 0, 2, :, 1] = level[0, 0, 2]  # the third token moved the second way
    x = ((level + 0.5) / 128 - 1).astype("float32")
    said = []
    flow._to_noise = lambda x, s, shown: (said.append(np.asarray(s)[0]), (x, tf.zeros((1,))))[1]
    flow(tf.constant(x), shown=tf.constant(shown))
    favoured = said[0][:, 1] - said[0][:, 0] > 1
    assert list(np.flatnonzero(favoured)) == [3, 4, 5, 6]


def test_a_block_takes_no_more_rounds_than_it_has_tokens(monkeypatch):
    flow = AutoregressiveFlow(width=8, heads=2, depth=1, window=1)
    flow.build((None, 1, 4, 3))
    noise = tf.constant(RNG.normal(size=(2, 1, 4, 3)).astype("float32"))
    read, counts = flow._read, []

    def counted(*args):
        counts.append(0)
        return read(*args)

    monkeypatch.setattr(flow, "_read", counted)
    # A flow that is nothing yet hangs on nothing: one round finds a block, another one says so.
    assert np.abs(flow.invert(noise, 4)[0] - noise).max() < 1e-6 and len(counts) == 1
    scramble(flow)
    counts.clear()
    one, _ = flow.invert(noise, 1)
    assert len(counts) == 4
    counts.clear()
    np.testing.assert_allclose(flow.invert(noise, 4)[0], one, atol=1e-5)
    assert len(counts) <= 4
