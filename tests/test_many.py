"""Posteriors of many data sets: closed forms, one at a time, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats
from test_inference import FALSE_ALARM, X, in_closed_form, line, line_and_truth

from jaxbayes import many
from jaxbayes.many import importance_many

SETS = 70  # more than a block


@pytest.fixture(scope="module")
def lines():
    """Return straight lines through noisy points, one posterior each."""
    y = np.stack([line_and_truth(key)[1][1] for key in range(SETS)])
    data = X, y, 0.5
    return data, importance_many(line, data, 0, in_axes=(None, 0, None))


def test_many_lines_in_closed_form(lines):
    (x, y, yerr), found = lines
    assert found.draws["level"].shape == (SETS, 1000)
    assert np.all(found.khat < 0.7)
    assert np.all(found.rivals == 0)
    limit = stats.norm.isf(FALSE_ALARM / 2 / (5 * SETS))
    design = np.stack([np.ones_like(x), x], axis=1)
    spread = design @ np.diag([4, 1]) @ design.T + yerr**2 * np.eye(len(x))
    for i in range(SETS):
        mean, cov = in_closed_form(x, y[i], yerr)
        draws = np.stack([found.draws[name][i] for name in ("level", "slope")])
        size = 1 / (1 / found.ess[i] + 1 / draws.shape[1])
        sigma = np.sqrt(np.diag(cov))
        pulls = [*(draws.mean(axis=1) - mean) / sigma * size**0.5]
        pulls += [*(draws.std(axis=1) / sigma - 1) * (2 * size) ** 0.5]
        place = [found.optimum[name][i] for name in ("level", "slope")]
        np.testing.assert_allclose(place, mean, atol=1e-4 * sigma.min())
        exact = stats.multivariate_normal(cov=spread).logpdf(y[i])
        pulls += [(found.log_evidence[i] - exact) * found.ess[i] ** 0.5]
        assert np.max(np.abs(pulls)) < limit, (i, pulls)
    end = found.draws["level"] + 2 * found.draws["slope"]
    np.testing.assert_allclose(found.draws["end"], end, rtol=1e-12)


def test_a_data_set_has_its_draws_in_any_company(lines, monkeypatch):
    """The same bits, whatever the block, for all that come at one place."""
    (x, y, yerr), found = lines
    monkeypatch.setattr(many, "_BLOCK", 7)
    few = importance_many(line, (x, y[:20], yerr), 0, in_axes=[None, 0, None])
    for one, other in zip(jax.tree.leaves(few), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(one, other[:20])
    other = importance_many(line, (x, y[:7], yerr), 1, in_axes=(None, 0, None))
    assert not np.any(other.draws["level"] == found.draws["level"][:7])


def two_bumps(x, y, scale):
    """State one bump and its noise, by a dictionary and a list."""
    mean = numpyro.sample("mean", dist.Uniform(-5, 5))
    curve = scale["height"] * jnp.exp(-0.5 * (x - mean) ** 2 / 0.25)
    numpyro.sample("y", dist.Normal(curve, scale["noise"][0]), obs=y)


def test_arguments_may_be_trees_and_modes_two():
    """Two places that fit alike in the first data set, one in the second."""
    x = np.linspace(-5, 5, 60)
    left, right = (np.exp(-0.5 * (x - m) ** 2 / 0.25) for m in (-2, 2))
    y = np.stack([left + right, 2 * left])
    scale = {"height": np.array([1.0, 2.0]), "noise": np.full((2, 1), 0.5)}
    found = importance_many(two_bumps, (x, y, scale), 0, in_axes=(None, 0, 0))
    assert found.rivals.tolist() == [1, 0]
    assert np.all(found.khat < 0.7)
    share = np.mean(found.draws["mean"] > 0, axis=1)
    error = (1 / found.ess[0] + 1 / 1000) ** 0.5 / 2
    assert abs(share[0] - 0.5) < stats.norm.isf(FALSE_ALARM / 2) * error
    assert share[1] == 0


def test_a_bad_data_set_does_no_harm_to_others(lines):
    (x, y, yerr), found = lines
    bad = y[:3].copy()
    bad[1, 4] = np.nan
    three = importance_many(line, (x, bad, yerr), 0, in_axes=(None, 0, None))
    assert not three.khat[1] <= 0.7
    for i in (0, 2):
        np.testing.assert_array_equal(three.draws["level"][i], found.draws["level"][i])


def funnel(y):
    """State a hierarchy that no mixture of a few ellipses follows."""
    log_width = numpyro.sample("log_width", dist.Normal(0, 3))
    with numpyro.plate("group", len(y)):
        level = numpyro.sample("level", dist.Normal(0, jnp.exp(log_width)))
        numpyro.sample("y", dist.Normal(level, 2), obs=y)


def test_a_funnel_is_not_trusted():
    y = np.random.default_rng(0).normal(size=(4, 8))
    found = importance_many(funnel, (y,), 0, in_axes=(0,))
    assert not np.any(found.khat <= 0.7)


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ([X], {}, TypeError, "data must be the tuple"),
        ((X, X[None], 0.5), {"in_axes": (None, 0)}, ValueError, "in_axes must be 0 or"),
        ((X, X[None], 0.5), {"in_axes": 0}, ValueError, "each of the 3 arguments"),
        ((X, X[None], 0.5), {"in_axes": (None, 1, None)}, ValueError, "in_axes must"),
        ((X, X[None], 0.5), {"in_axes": (None,) * 3}, ValueError, "0 for one at least"),
        (
            (X, X[None], np.ones(2)),
            {"in_axes": (None, 0, 0)},
            ValueError,
            r"lengths \(1,\) in data\[1\], \(2,\) in data\[2\]",
        ),
        ((X, X[None], 0.5), {"in_axes": (None, 0, 0)}, ValueError, "first axis"),
        (
            (X, {"y": X[None], "noise": np.ones(2)}),
            {"in_axes": (None, 0)},
            ValueError,
            r"lengths \(2,\) in data\[1\]\['noise'\], \(1,\) in data\[1\]\['y'\]",
        ),
        ((X, X[None][:0], 0.5), {}, ValueError, "first axis"),
        ((X, X[None], 0.5), {"num_samples": 10}, ValueError, "num_samples must be at"),
        ((X, X[None], 0.5), {"num_samples": 1e3}, TypeError, "num_samples must be an"),
        ((X, X[None, :5], 0.5), {}, ValueError, "model cannot be called"),
    ],
)
def test_what_cannot_be_done_is_refused(data, options, error, message):
    options = {"in_axes": (None, 0, None)} | options
    with pytest.raises(error, match=message) as told:
        importance_many(line, data, 0, **options)
    assert not re.search(r"\n", str(told.value)) or "called" in message
