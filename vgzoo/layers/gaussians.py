"""Diagonal Gaussians and mixtures of them: draws, and how far one is from another.

A scale is a logarithm. A mixture is `(N, components)` logarithms of weights, and of each component
the mean and scale, `(N, D)`.
"""

from keras import ops


def sampled(mean, log_scale, draw):
    """What a standard normal draw is of a Gaussian; its mean without a draw."""
    return mean if draw is None else mean + ops.exp(log_scale) * draw


def component(mixture, which):
    """Mean and logarithm of the scale of one Gaussian, the likeliest or that of a normal draw."""
    weights, gaussians = mixture
    if len(gaussians) == 1:
        return gaussians[0]
    chance = 0.5 if which is None else 0.5 * (1 + ops.erf(which / 2**0.5))
    beyond = ops.cast(chance >= ops.cumsum(ops.exp(weights), axis=-1), "int32")
    index = ops.clip(ops.sum(beyond, axis=-1), 0, len(gaussians) - 1)
    chosen = ops.one_hot(index, len(gaussians))
    means, log_scales = (ops.stack(values, axis=1) for values in zip(*gaussians, strict=True))
    return tuple(ops.sum(chosen[..., None] * values, axis=1) for values in (means, log_scales))


def divergence(mean, log_scale, latent, mixture):
    """KL divergence of a diagonal Gaussian from a mixture of such: `(N,)` nats.

    From a single one it is exact; from several it is estimated by what was drawn.
    """
    weights, gaussians = mixture
    if len(gaussians) == 1:
        other_mean, other_log_scale = gaussians[0]
        log_ratio = log_scale - other_log_scale
        away = (mean - other_mean) * ops.exp(-other_log_scale)
        nats = ops.exp(2 * log_ratio) + ops.square(away) - 1 - 2 * log_ratio
        return 0.5 * ops.sum(nats, axis=-1)
    chances = ops.stack([_log_density(latent, *gaussian) for gaussian in gaussians], axis=-1)
    return _log_density(latent, mean, log_scale) - ops.logsumexp(weights + chances, axis=-1)


def _log_density(x, mean, log_scale):
    """Of a diagonal Gaussian, but for the constant: `(N,)`."""
    away = ops.square((x - mean) * ops.exp(-log_scale))
    return -ops.sum(0.5 * away + log_scale, axis=-1)
