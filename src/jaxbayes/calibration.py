"""Simulation-based calibration, over many data sets at once."""

import functools

import jax
import numpy as np
from jax import lax

from jaxbayes import _density, many


def ranks(draws, truth):
    """Return where the truth lies among its draws, between 0 and 1.

    If parameters are drawn from the prior, data from the parameters, and draws from
    the posterior of the data, these are evenly spread over the data sets (Cook,
    Gelman and Rubin 2006; Talts et al. 2018).

    Args:
        draws: real array of shape ``(B, S)`` or ``(B, S, ...)``, S equally weighted,
            independent draws for each of B data sets.
        truth: real array of shape ``(B,)`` or ``(B, ...)``, the values that each
            data set was simulated with.

    Returns:
        NumPy array of the shape of ``truth``, the number of draws below it, plus one
        half, over S + 1.

    Raises:
        ValueError: if the shapes do not belong together.

    Example:
        >>> print(ranks(np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([0.25])))
        [0.5]
    """
    if np.shape(draws)[:1] + np.shape(draws)[2:] != np.shape(truth):
        raise ValueError(
            "truth must have the shape of draws without their second axis, got "
            f"{np.shape(truth)} for {np.shape(draws)}"
        )
    below = np.sum(draws < np.expand_dims(truth, 1), axis=1)
    return (below + 0.5) / (np.shape(draws)[1] + 1)


def coverage(rank, level):
    """Return how often central intervals hold the truth.

    Args:
        rank: real array of shape ``(B, ...)``, as :func:`ranks` returns it.
        level: the probability of each interval, between 0 and 1.

    Returns:
        NumPy array of shape ``(...)``, the share of the B data sets whose interval
        holds the truth. From draws of the right posterior it is ``level``, within an
        error of ``sqrt(level * (1 - level) / B)``.

    Raises:
        ValueError: if ``level`` is not between 0 and 1.

    Example:
        >>> print(coverage(np.array([0.1, 0.4, 0.6, 0.8]), 0.5))
        0.5
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return np.mean(np.abs(np.asarray(rank) - 0.5) < level / 2, axis=0)


def log_likelihoods(model, data, values, *, in_axes):
    """Return the log likelihood of each of many data sets at values of its own.

    A quantity to rank that depends on the data, which parameters do not: draws from
    the prior, in the place of the posterior, pass the ranks of all parameters, and
    not those of the log likelihood (Modrák et al. 2025).

    Args:
        model: a NumPyro model.
        data: the tuple of the model's arguments.
        values: dictionary of arrays of shape ``(B, S, ...)``, S values of each latent
            site for each data set.
        in_axes: which of the arguments differ from one data set to another, as in
            :func:`jaxbayes.many.importance_many`.

    Returns:
        NumPy array of shape ``(B, S)``, float64.

    Raises:
        ValueError: as :func:`jaxbayes.many.importance_many`; if ``values`` lacks a
            site or has another number of data sets.
        TypeError: as :func:`jaxbayes.many.importance_many`.

    Example:
        >>> import numpyro
        >>> import numpyro.distributions as dist
        >>> def model(y):
        ...     level = numpyro.sample("level", dist.Normal(0, 1))
        ...     numpyro.sample("y", dist.Normal(level, 1), obs=y)
        >>> y = np.zeros((3, 5))
        >>> log_likelihoods(model, (y,), {"level": np.ones((3, 4))}, in_axes=(0,)).shape
        (3, 4)
    """
    with jax.enable_x64(True):
        density, _, number, differ, mine, shared = many._describe(model, data, in_axes)
        latent = {site.name for site in density.sites}
        if missing := sorted(latent - values.keys()):
            raise ValueError(
                f"values must have the sites {missing}, got {list(values)}"
            )
        values = {name: np.asarray(values[name], dtype=float) for name in latent}
        lengths = {name: np.shape(value)[:2] for name, value in values.items()}
        first = next(iter(lengths.values()))
        if first[:1] != (number,) or set(lengths.values()) != {first}:
            raise ValueError(
                f"values must be of shape ({number}, S, ...), got lengths {lengths}"
            )
        return np.asarray(_log_likelihoods(values, mine, shared, differ, density))


@functools.partial(jax.jit, static_argnames=("differ", "density"))
def _log_likelihoods(values, mine, shared, differ, density):
    def one(own):
        arrays = many._of_one(own[1], shared, differ)
        at = functools.partial(_density.log_likelihood_at, density, arrays)
        return jax.vmap(at)(own[0])

    return lax.map(one, (values, mine))
