"""Ranks, coverage and log likelihoods of many data sets, on known answers."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats
from test_inference import FALSE_ALARM, X, line

from jaxbayes.calibration import coverage, log_likelihoods, ranks


def test_ranks_by_counting():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(50, 9, 2)), rng.normal(size=(50, 2))
    found = ranks(draws, truth)
    for i, k in np.ndindex(50, 2):
        below = sum(draw < truth[i, k] for draw in draws[i, :, k])
        assert found[i, k] == (below + 0.5) / 10
    np.testing.assert_array_equal(ranks(draws[..., 0], truth[:, 0]), found[:, 0])


@pytest.mark.parametrize("scale", [1.0, 0.8, 1.25])
def test_ranks_are_even_for_the_right_posterior_alone(scale):
    """A normal mean of one normal datum, and error bars a fifth too small or large."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=10_000)
    y = truth + rng.normal(size=10_000)
    draws = y[:, None] / 2 + scale * rng.normal(size=(10_000, 200)) / 2**0.5
    rank = ranks(draws, truth)
    p = stats.kstest(rank, "uniform").pvalue
    assert p > FALSE_ALARM if scale == 1 else p < FALSE_ALARM
    for level in (0.5, 0.8, 0.95):
        known = 2 * stats.norm.cdf(scale * stats.norm.isf((1 - level) / 2)) - 1
        error = (known * (1 - known) / 10_000) ** 0.5
        limit = stats.norm.isf(FALSE_ALARM / 6) * error + 1 / 200
        assert abs(coverage(rank, level) - known) < limit


def test_coverage_of_several():
    rank = np.array([[0.5, 0.01], [0.2, 0.5], [0.9, 0.5]])
    np.testing.assert_allclose(coverage(rank, 0.7), [2 / 3, 2 / 3])


def test_log_likelihoods_by_the_formula():
    rng = np.random.default_rng(2)
    y, yerr = rng.normal(size=(6, X.size)), rng.uniform(0.5, 2, 6)
    values = {"level": rng.normal(size=(6, 3)), "slope": rng.normal(size=(6, 3))}
    more = values | {"end": np.zeros((6, 3))}
    found = log_likelihoods(line, (X, y, yerr), more, in_axes=(None, 0, 0))
    for i, s in np.ndindex(6, 3):
        mean = values["level"][i, s] + values["slope"][i, s] * X
        exact = stats.norm(mean, yerr[i]).logpdf(y[i]).sum()
        assert np.isclose(found[i, s], exact, rtol=1e-12)


def vector(y):
    theta = numpyro.sample("theta", dist.Normal(0, 1).expand([2]).to_event(1))
    numpyro.factor("own", -jnp.sum((theta - y) ** 2))


def test_log_likelihoods_of_a_factor():
    values = {"theta": np.array([[[1.0, 2.0]], [[0.0, 0.0]]])}
    found = log_likelihoods(vector, (np.zeros((2, 2)),), values, in_axes=(0,))
    np.testing.assert_allclose(found, [[-5.0], [0.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranks(np.zeros((3, 4)), np.zeros(4)), r"got \(4,\) for \(3, 4\)"),
        (lambda: ranks(np.zeros(3), np.zeros((3, 1))), "truth must have the shape"),
        (lambda: coverage(np.zeros(3), 95), "level must be between 0 and 1, got 95"),
        (
            lambda: log_likelihoods(vector, (np.zeros((2, 2)),), {}, in_axes=(0,)),
            r"values must have the sites \['theta'\]",
        ),
        (
            lambda: log_likelihoods(
                vector,
                (np.zeros((2, 2)),),
                {"theta": np.zeros((3, 1, 2))},
                in_axes=(0,),
            ),
            r"values must be of shape \(2, S, ...\)",
        ),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
