"""The ordered prior: a map, a distribution, and NumPyro's contract for both."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.distributions import biject_to
from numpyro.infer import MCMC, NUTS
from scipy.stats import beta, kstest

from jaxbayes.priors import (
    OrderedInterval,
    OrderedUniform,
    TriangleTransform,
    triangle,
)

FALSE_ALARM = 1e-6  # of each statistical test


def uniforms(n, size, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, size))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_map_sorts_in_distribution(size):
    ours = np.asarray(triangle(uniforms(100_000, size), -4, 4))
    assert np.all(np.diff(ours, axis=-1) >= 0)
    assert ours.min() >= -4
    assert ours.max() <= 4
    for k in range(size):  # order statistics of uniforms are Beta distributed
        unit = (ours[:, k] + 4) / 8
        assert kstest(unit, beta(k + 1, size - k).cdf).pvalue > FALSE_ALARM


def test_two_values_are_spread_evenly_over_the_triangle():
    """Sixteen triangles of equal area hold equal counts, as sorted pairs do."""
    for pairs in (triangle(uniforms(160_000, 2)), np.sort(uniforms(160_000, 2, 1))):
        low, high = np.asarray(pairs).T
        i, j = np.floor(4 * low), np.floor(4 * high)
        upper = (4 * low) % 1 + (4 * high) % 1 > 1
        cells, counts = np.unique(np.stack([i, j, upper]), axis=1, return_counts=True)
        diagonal = cells[0] == cells[1]
        whole = counts[~diagonal]  # halves of the squares off the diagonal
        assert whole.size == 12
        z = (whole - 10_000) / 100
        assert np.all(np.abs(z) < 6)
        squares = [counts[(cells[0] == k) & diagonal].sum() for k in range(4)]
        assert np.all(np.abs(np.array(squares) - 10_000) < 600)


def test_the_map_wants_an_array():
    with pytest.raises(ValueError, match="q must have shape"):
        triangle(0.5)


def test_gradients_are_finite_towards_the_edges():
    for near in (1e-6, 1 - 1e-6):
        slope = jax.jacobian(triangle)(jnp.array([near, near]))
        assert jnp.all(jnp.isfinite(slope))
    to_ordered = biject_to(OrderedUniform(-4, 4).support)
    for u in (-30.0, 0.0, 30.0):
        value = jax.grad(lambda u: jnp.sum(to_ordered(u)))(jnp.full(2, u))
        assert jnp.all(jnp.isfinite(value))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_transform_is_inverted_and_its_volume_exact(size):
    q = np.concatenate([uniforms(50, size), 1e-3 * uniforms(20, size, 1)])
    q = np.concatenate([q, 1 - 1e-3 * uniforms(20, size, 2)])
    with jax.enable_x64(True):
        transform = TriangleTransform(-4.0, 4.0)
        for point in jnp.asarray(q):
            value = transform(point)
            np.testing.assert_allclose(transform.inv(value), point, atol=1e-9)
            jacobian = jax.jacobian(transform)(point)
            _, expected = jnp.linalg.slogdet(jacobian)
            got = transform.log_abs_det_jacobian(point, value)
            np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_bijection_from_the_line_has_the_right_volume():
    with jax.enable_x64(True):
        to_ordered = biject_to(OrderedUniform(-4.0, 4.0).support)
        for u in jnp.asarray(np.random.default_rng(0).normal(0, 3, (50, 2))):
            value = to_ordered(u)
            assert value[0] < value[1]
            np.testing.assert_allclose(to_ordered.inv(value), u, rtol=1e-6)
            _, expected = jnp.linalg.slogdet(jax.jacobian(to_ordered)(u))
            got = to_ordered.log_abs_det_jacobian(u, value)
            np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_density_mean_and_variance(size):
    prior = OrderedUniform(-4.0, 4.0, size)
    draws = prior.sample(jax.random.key(0), (40_000,))
    constant = np.log(float(np.prod(np.arange(1, size + 1)))) - size * np.log(8)
    np.testing.assert_allclose(prior.log_prob(draws), constant, rtol=1e-5)
    error = np.sqrt(prior.variance / 40_000)
    assert np.all(np.abs(draws.mean(axis=0) - prior.mean) < 5 * error)
    np.testing.assert_allclose(draws.var(axis=0), prior.variance, rtol=0.05)


def test_batches_expand_jit_vmap_and_flatten():
    prior = OrderedUniform(jnp.zeros((3, 1)), jnp.array([1.0, 2.0]))
    assert prior.batch_shape == (3, 2)
    assert prior.event_shape == (2,)
    draws = prior.sample(jax.random.key(0), (7,))
    assert draws.shape == (7, 3, 2, 2)
    assert prior.log_prob(draws).shape == (7, 3, 2)
    assert prior.mean.shape == prior.variance.shape == (3, 2, 2)
    wide = OrderedUniform(0.0, 1.0).expand([5])
    assert wide.sample(jax.random.key(0)).shape == (5, 2)

    def log_prob(low, value):
        return OrderedUniform(low, 4.0).log_prob(value)

    value = jnp.array([1.0, 2.0])
    lows = jnp.array([-4.0, 0.0])
    expected = np.log(2) - 2 * np.log([8, 4])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(log_prob, (0, None)))(lows, value), expected, rtol=1e-5
    )
    leaves, tree = jax.tree.flatten(prior)
    again = jax.tree.unflatten(tree, leaves)
    np.testing.assert_array_equal(again.log_prob(draws), prior.log_prob(draws))


def test_values_outside_have_no_density():
    prior = OrderedUniform(-4, 4, validate_args=True)
    for value in ([2.0, 1.0], [-5.0, 0.0], [0.0, 5.0]):
        with pytest.warns(UserWarning, match="Out-of-support"):
            assert prior.log_prob(jnp.array(value)) == -jnp.inf
    constraint = OrderedInterval(-4, 4)
    assert constraint(constraint.feasible_like(jnp.zeros(3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"low": 2.0, "high": 1.0}, "low must be below high"),
        ({"size": 0}, "size must be a positive integer"),
        ({"size": 1.5}, "size must be a positive integer"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        OrderedUniform(**arguments)


def test_a_value_of_another_size_is_refused():
    with pytest.raises(ValueError, match="value must have shape"):
        OrderedUniform(0, 1, 3).log_prob(jnp.zeros(2))


def test_nuts_finds_the_bare_prior():
    """Moments within five Monte Carlo errors, taken as those of 1000 free draws."""

    def model():
        numpyro.sample("v", OrderedUniform(-4, 4))

    mcmc = MCMC(NUTS(model), num_warmup=500, num_samples=4000, progress_bar=False)
    mcmc.run(jax.random.key(0))
    draws = np.asarray(mcmc.get_samples()["v"])
    prior = OrderedUniform(-4, 4)
    assert np.all(draws[:, 0] <= draws[:, 1])
    error = np.sqrt(np.asarray(prior.variance) / 1000)
    assert np.all(np.abs(draws.mean(axis=0) - np.asarray(prior.mean)) < 5 * error)
    np.testing.assert_allclose(draws.var(axis=0), prior.variance, rtol=0.25)
