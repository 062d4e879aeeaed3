"""Steps along a flow, against flows whose end is known."""

import numpy as np
import pytest

from vgzoo.errors import VgzooError
from vgzoo.samplers import ode


def end(steps: int, sampler: str, shift: float = 1.0) -> tuple[float, list[float]]:
    """Where dx/dt = cos(3t) · x leads from 1, and the times that the velocity was asked for."""
    times = []

    def velocity(x, time):
        times.append(float(time))
        return np.cos(3 * np.asarray(time)) * x

    x = ode.integrate(velocity, np.ones(1), steps=steps, sampler=sampler, shift=shift)
    return float(np.asarray(x)[0]), times


TRUTH = np.exp(np.sin(3) / 3)


@pytest.mark.parametrize(
    ("sampler", "order", "steps"),
    [("euler", 1, 8), ("midpoint", 2, 8), ("heun", 2, 8), ("multistep", 2, 32)],
)
def test_the_error_falls_with_the_order_of_the_sampler(sampler, order, steps):
    coarse, fine = (abs(end(count, sampler)[0] - TRUTH) for count in (steps, 4 * steps))
    assert coarse / fine > 0.7 * 4**order
    assert order == 2 or coarse / fine < 1.5 * 4


@pytest.mark.parametrize("sampler", ode.SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_steps_are_evaluations(sampler, steps):
    _, times = end(steps, sampler)
    assert len(times) <= steps and len(times) >= steps - 1
    assert len(times) == steps or steps % 2 == (sampler == "midpoint")
    assert times[0] == 0 and times == sorted(times) and times[-1] < 1


def test_a_way_ends_where_its_sampler_does():
    def velocity(x, time):
        return np.cos(3 * np.asarray(time)) * x

    way = ode.way(velocity, np.ones(1), steps=20, shift=2.0)
    assert len(way) == 21 and way[0] == np.ones(1)
    assert float(np.asarray(way[-1])[0]) == pytest.approx(end(20, "multistep", 2.0)[0], rel=1e-6)
    exact = np.exp(np.sin(3 * ode.shifted(np.arange(21) / 20, 2.0)) / 3)
    np.testing.assert_allclose(np.ravel(way), exact, rtol=0.02)


def test_a_shift_puts_more_steps_near_the_noise():
    shares = np.linspace(0, 1, 9)
    times = ode.shifted(shares, 3.0)
    assert times[0] == 0 and times[-1] == 1
    assert (np.diff(times) > 0).all() and (times[1:-1] < shares[1:-1]).all()
    # Time t after the shift has 1/3 of the signal-to-noise ratio of time t before.
    np.testing.assert_allclose(times[4] / (1 - times[4]), 1 / 3)
    np.testing.assert_array_equal(ode.shifted(shares, 1.0), shares)
    near, far = (abs(end(64, "midpoint", shift)[0] - TRUTH) for shift in (1.0, 3.0))
    assert far < 1e-2 and near < 1e-3


def test_an_unknown_sampler_gets_one_line():
    with pytest.raises(VgzooError, match="no sampler 'ddim'; there are: euler, midpoint, heun, mu"):
        end(4, "ddim")
