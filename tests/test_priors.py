"""The triangle and the ordered prior against sorting, closed forms and NUTS."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.distributions import Uniform, biject_to, constraints
from numpyro.infer import MCMC, NUTS
from scipy import stats

from jaxbayes.priors import OrderedInterval, OrderedUniform, TriangleTransform, triangle

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
SIZES = [1, 2, 3]
N_DRAWS = 20_000


@pytest.fixture
def x64():
    """Turn JAX's 64-bit mode on for one test."""
    with jax.enable_x64(True):
        yield


def cube(size, n=N_DRAWS, seed=0):
    """Draw points of the unit cube, away from no corner."""
    return np.random.default_rng(seed).uniform(size=(n, size))


def draws(how, size=2):
    """Draw ordered values on [0, 1] by one of three routes."""
    if how == "triangle":
        return np.asarray(triangle(cube(size)))
    if how == "sample":
        key = jax.random.key(0)
        return np.asarray(OrderedUniform(size=size).sample(key, (N_DRAWS,)))
    return np.sort(cube(size, seed=1), axis=-1)


def corners(size):
    """Return unconstrained points towards and near all corners, edges and centre."""
    return np.array(list(itertools.product([-12.0, -1.0, 0.0, 2.0, 12.0], repeat=size)))


def numbers_of(distribution):
    """Draw, and evaluate, in one program."""
    value = distribution.sample(jax.random.key(0), (3,))
    return value, distribution.log_prob(value)


# the map


def test_triangle_follows_its_recursion(x64):
    q = cube(3, 10)
    v3 = q[:, 2] ** (1 / 3)
    v2 = v3 * q[:, 1] ** (1 / 2)
    expected = np.stack([v2 * q[:, 0], v2, v3], axis=-1)
    np.testing.assert_allclose(triangle(q), expected, rtol=1e-12)


def test_triangle_maps_corners_to_corners():
    q = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.25]])
    expected = [[-4, -4], [-4, -4], [-4, 4], [4, 4], [-2, 0]]
    np.testing.assert_allclose(triangle(q, -4, 4), expected, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_triangle_stretches_to_any_intervals(x64, size):
    q, low, high = cube(size, 6).reshape(2, 3, size), np.arange(3.0)[:, None], 7
    expected = low + (high - low) * triangle(q)
    np.testing.assert_allclose(triangle(q, low, high), expected, rtol=1e-12)


@pytest.mark.parametrize(("flag", "dtype"), [(False, "float32"), (True, "float64")])
def test_triangle_keeps_shape_and_precision(flag, dtype):
    with jax.enable_x64(flag):
        v = jax.jit(triangle)(np.zeros((4, 3, 2)), -1, 1)
    assert (v.shape, v.dtype) == ((4, 3, 2), dtype)


def test_triangle_refuses_a_single_number():
    with pytest.raises(ValueError, match=r"q must have shape \(\.\.\., K\)"):
        triangle(0.5)


# evenly over the triangle


@pytest.mark.parametrize("how", ["triangle", "sample"])
@pytest.mark.parametrize("size", SIZES)
def test_each_value_is_an_order_statistic(how, size):
    """The k-th smallest of K uniforms follows Beta(k, K + 1 - k)."""
    values = draws(how, size)
    assert np.all(np.diff(values) >= 0)
    for k in range(1, size + 1):
        p = stats.kstest(values[:, k - 1], stats.beta(k, size + 1 - k).cdf).pvalue
        assert p > FALSE_ALARM / size


@pytest.mark.parametrize("how", ["triangle", "sample", "sorted"])
def test_draws_fill_the_triangle_evenly(how):
    """Count draws in a grid: by area, half a cell on the diagonal."""
    n = 10
    counts, *_ = np.histogram2d(*draws(how).T, bins=n, range=[[0, 1], [0, 1]])
    below = np.tril_indices(n, -1)
    assert not np.any(counts[below])
    area = (np.triu(np.ones((n, n)), 1) + np.eye(n) / 2) * 2 / n**2
    cells = np.triu_indices(n)
    test = stats.chisquare(counts[cells], N_DRAWS * area[cells])
    assert test.pvalue > FALSE_ALARM


@pytest.mark.parametrize("how", ["triangle", "sample"])
@pytest.mark.parametrize("size", [2, 3])
def test_draws_are_those_of_sorting(how, size):
    one, other = draws(how, size), draws("sorted", size)
    looks = [np.sum, np.ptp, np.prod, np.median]
    for look in looks:
        test = stats.ks_2samp(look(one, axis=-1), look(other, axis=-1))
        assert test.pvalue > FALSE_ALARM / len(looks)


@pytest.mark.parametrize("size", SIZES)
def test_moments_are_those_of_the_draws(size):
    prior = OrderedUniform(-4, 4, size)
    values = np.asarray(prior.sample(jax.random.key(1), (N_DRAWS,)))
    error = np.sqrt(prior.variance / N_DRAWS)
    z = stats.norm.isf(FALSE_ALARM / 4 / size)
    assert np.all(np.abs(values.mean(axis=0) - prior.mean) < z * error)
    fourth = np.mean((values - prior.mean) ** 4, axis=0)
    error = np.sqrt((fourth - prior.variance**2) / N_DRAWS)
    assert np.all(np.abs(values.var(axis=0) - prior.variance) < z * error)


# the way between the triangle and all real numbers


@pytest.mark.parametrize("size", SIZES)
def test_transform_there_and_back(x64, size):
    transform = biject_to(OrderedUniform(-4, 4, size).support)
    u = corners(size)
    y = transform(u)
    assert np.all(transform.codomain(y))
    np.testing.assert_allclose(transform.inv(y), u, rtol=0, atol=1e-6)
    np.testing.assert_allclose(transform(transform.inv(y)), y, rtol=1e-12)


def test_transform_there_and_back_in_single_precision():
    transform = biject_to(OrderedUniform(-4, 4).support)
    u = np.random.default_rng(0).uniform(-4, 4, (100, 2))
    np.testing.assert_allclose(transform.inv(transform(u)), u, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_log_determinant_is_that_of_the_jacobian(x64, size):
    transform = biject_to(OrderedUniform(-4, 4, size).support)
    u = np.concatenate([corners(size), 9 * (2 * cube(size, 100) - 1)])
    sign, expected = np.linalg.slogdet(jax.jit(jax.vmap(jax.jacobian(transform)))(u))
    assert np.all(sign == 1)
    found = transform.log_abs_det_jacobian(u, transform(u))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_triangle_shrinks_volume_evenly(x64, size):
    transform = TriangleTransform(-4, 4)
    q = cube(size, 50)
    found = transform.log_abs_det_jacobian(q, transform(q))
    np.testing.assert_allclose(np.exp(found), 8**size / math.factorial(size))
    determinant = np.linalg.det(jax.vmap(jax.jacobian(transform))(q))
    np.testing.assert_allclose(np.exp(found), determinant, rtol=1e-9)


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_stay_finite_as_the_edges_come_near(flag, size):
    far = np.array(list(itertools.product([-1e3, -90, -30, 0, 30, 1e3], repeat=size)))
    with jax.enable_x64(flag):
        transform = biject_to(OrderedUniform(-4, 4, size).support)

        def log_density(u):
            y = transform(u)
            return transform.log_abs_det_jacobian(u, y) - jnp.sum(y**2)

        ends = transform(np.array([[-1e3] * size, [1e3] * size]))
        np.testing.assert_allclose(ends, [[-4] * size, [4] * size], atol=1e-5)
        assert np.all(transform.codomain(transform(far)))
        for derivative in (jax.jacobian(transform), jax.grad(log_density)):
            assert np.all(np.isfinite(jax.jit(jax.vmap(derivative))(far)))


@pytest.mark.parametrize("size", SIZES)
def test_transform_of_batches_of_intervals(x64, size):
    low, high = np.array([0.0, -1.0, 2.0]), np.array([1.0, 5.0, 3.0])
    transform = biject_to(OrderedUniform(low, high, size).support)
    u = 4 * cube(size, 12).reshape(4, 3, size) - 2
    y = transform(u)
    log_det = transform.log_abs_det_jacobian(u, y)
    assert log_det.shape == (4, 3)
    assert transform.forward_shape(u.shape) == transform.inverse_shape(u.shape)
    for i in range(3):
        one = biject_to(OrderedInterval(low[i], high[i]))
        np.testing.assert_allclose(y[:, i], one(u[:, i]), rtol=1e-12)
        expected = one.log_abs_det_jacobian(u[:, i], y[:, i])
        np.testing.assert_allclose(log_det[:, i], expected, rtol=1e-12)
    np.testing.assert_allclose(transform.inv(y), u, atol=1e-9)


# the constraint


def test_constraint_holds_for_what_is_ordered_and_inside():
    values = {
        (-4.0, 4.0): True,  # the ends
        (1.0, 1.0): True,  # a tie
        (1.0, 0.9): False,
        (-4.1, 0.0): False,
        (0.0, 4.1): False,
        (0.0, math.nan): False,
        (math.nan, 0.0): False,
    }
    found = OrderedInterval(-4, 4)(np.array(list(values)))
    assert found.tolist() == list(values.values())


def test_constraint_has_a_feasible_point():
    constraint = OrderedInterval(np.array([-4.0, 0.0]), 4)
    point = constraint.feasible_like(jnp.zeros((5, 2, 3)))
    np.testing.assert_allclose(point[0], [[-2, 0, 2], [1, 2, 3]])
    assert point.shape == (5, 2, 3)
    assert np.all(constraint(point))


def test_constraint_equals_only_its_like():
    same = OrderedInterval(-4, 4)
    assert same == OrderedInterval(-4, 4)
    assert same != OrderedInterval(-4, 5)
    assert same != constraints.interval(-4, 4)
    assert constraints.interval(-4, 4) != same
    assert repr(same) == "OrderedInterval(-4, 4)"


# the distribution as NumPyro's own


def test_log_prob_is_that_of_sorted_uniforms(x64):
    value = np.array([[-4.0, 4.0], [1.0, 1.0], [-1.0, 2.0]])
    expected = math.log(2) + Uniform(-4, 4).log_prob(value).sum(axis=-1)
    np.testing.assert_allclose(OrderedUniform(-4, 4).log_prob(value), expected)


@pytest.mark.parametrize("size", SIZES)
def test_density_integrates_to_one(x64, size):
    n = 40
    middle = (np.arange(n) + 0.5) / n * 3 - 1
    grid = np.stack(np.meshgrid(*[middle] * size, indexing="ij"), axis=-1)
    with pytest.warns(UserWarning, match="Out-of-support") if size > 1 else nothing():
        density = np.exp(OrderedUniform(-1, 2, size).log_prob(grid))
    cells = math.comb(n + size - 1, size) / n**size  # with those on the diagonal
    expected = math.factorial(size) * cells
    assert np.sum(density) * (3 / n) ** size == pytest.approx(expected)


def nothing():
    """Return a context that expects nothing."""
    return np.errstate()


@pytest.mark.parametrize("value", [[2.0, 1.0], [-5.0, 0.0], [0.0, 5.0]])
def test_validation_decides_outside_the_support(value):
    value = jnp.array(value)
    constant = OrderedUniform(-4, 4, validate_args=False).log_prob(value)
    assert constant == pytest.approx(math.log(2 / 64))
    with pytest.warns(UserWarning, match="Out-of-support"):
        assert OrderedUniform(-4, 4, validate_args=True).log_prob(value) == -np.inf
    jitted = jax.jit(OrderedUniform(-4, 4, validate_args=True).log_prob)
    assert jitted(value) == -np.inf


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("low", "high", "batch"),
    [
        (-4, 4, ()),
        (np.zeros(3), 1, (3,)),
        (0, np.ones((2, 1)), (2, 1)),
        (np.zeros(3), np.ones((2, 1)), (2, 3)),
    ],
)
def test_batch_and_event_shapes(low, high, batch, size):
    prior = OrderedUniform(low, high, size)
    assert (prior.batch_shape, prior.event_shape) == (batch, (size,))
    assert prior.mean.shape == prior.variance.shape == (*batch, size)
    value = prior.sample(jax.random.key(0), (5, 4))
    assert value.shape == (5, 4, *batch, size)
    assert np.all(prior.support(value))
    assert prior.log_prob(value).shape == (5, 4, *batch)
    transform = biject_to(prior.support)
    assert transform(jnp.zeros(prior.shape())).shape == prior.shape()


def test_batches_are_independent_and_each_as_alone():
    prior = OrderedUniform(np.array([0.0, -4.0]), np.array([1.0, 4.0]))
    np.testing.assert_allclose(prior.mean, [[1 / 3, 2 / 3], [-4 / 3, 4 / 3]], rtol=1e-6)
    log_prob = prior.log_prob(jnp.array([0.5, 0.5]))
    np.testing.assert_allclose(log_prob, np.log([2, 2 / 64]), rtol=1e-6)
    first, second = np.moveaxis(prior.sample(jax.random.key(0), (1000,)), 1, 0)
    assert stats.pearsonr(first[:, 0], second[:, 0]).pvalue > FALSE_ALARM


def test_expand_repeats_it():
    prior = OrderedUniform(np.zeros((3, 1)), 1).expand((2, 3, 4))
    assert prior.shape() == (2, 3, 4, 2)
    value = prior.sample(jax.random.key(0))
    assert value.shape == (2, 3, 4, 2)
    assert len(np.unique(value)) == value.size
    np.testing.assert_allclose(prior.log_prob(value), np.full((2, 3, 4), np.log(2)))
    assert biject_to(prior.support)(jnp.zeros((2, 3, 4, 2))).shape == (2, 3, 4, 2)


def test_it_goes_in_and_out_of_jit():
    prior = OrderedUniform(-4, np.array([1.0, 4.0]), 3)
    for one, other in zip(numbers_of(prior), jax.jit(numbers_of)(prior), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    back = jax.jit(lambda low: OrderedUniform(low, 4, 3))(jnp.array(-4.0))
    assert isinstance(back, OrderedUniform)
    assert back.shape() == (3,)
    np.testing.assert_allclose(back.mean, [-2, 0, 2], atol=1e-6)


def test_it_maps_over_its_ends():
    low, value = jnp.array([-4.0, -1.0]), jnp.array([0.0, 0.5])
    found = jax.vmap(lambda low: OrderedUniform(low, 4).log_prob(value))(low)
    np.testing.assert_allclose(found, OrderedUniform(low, 4).log_prob(value))
    keys = jax.random.split(jax.random.key(0), 2)
    found = jax.vmap(lambda low, key: OrderedUniform(low, 4).sample(key))(low, keys)
    assert np.all(OrderedUniform(low, 4).support(found))


def test_log_prob_has_a_slope_by_its_ends(x64):
    value = jnp.array([0.0, 0.5])
    slope = jax.grad(lambda high: OrderedUniform(-4, high).log_prob(value))(4.0)
    assert slope == pytest.approx(-2 / 8)


def test_draws_have_a_slope_by_its_ends(x64):
    """A draw is low + (high - low) v, with v that of the unit interval."""
    assert OrderedUniform(-4, 4).has_rsample
    key = jax.random.key(0)
    v = OrderedUniform().sample(key)
    slopes = jax.jacobian(lambda *ends: OrderedUniform(*ends).rsample(key), (0, 1))
    np.testing.assert_allclose(slopes(-4.0, 4.0), [1 - v, v], rtol=1e-12)


@pytest.mark.parametrize("validate", [True, False])
def test_it_is_a_pytree(validate):
    prior = OrderedUniform(-4, np.array([1.0, 4.0]), 3, validate_args=validate)
    leaves, tree = jax.tree.flatten(prior)
    assert len(leaves) == 2
    back = jax.tree.unflatten(tree, leaves)
    assert back.shape() == prior.shape()
    assert back.support == prior.support
    assert back._validate_args == prior._validate_args
    doubled = jax.tree.map(lambda end: 2 * end, prior)
    np.testing.assert_allclose(doubled.mean, 2 * prior.mean)
    transform = biject_to(prior.support)
    again = jax.tree.unflatten(*jax.tree.flatten(transform)[::-1])
    np.testing.assert_allclose(again(jnp.ones((2, 3))), transform(jnp.ones((2, 3))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, -4), "low must be below high, got 4 and -4"),
        ((1, 1), "low must be below high"),
        ((0, math.nan), "low must be below high"),
        ((np.array([0.0, 2.0]), 1), "low must be below high"),
        ((0, 1, 0), "size must be a positive integer, got 0"),
        ((0, 1, 1.5), "size must be a positive integer, got 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        OrderedUniform(*arguments)


@pytest.mark.parametrize("shape", [(), (3,), (2, 1)])
def test_log_prob_refuses_another_size(shape):
    with pytest.raises(ValueError, match=r"value must have shape \(\.\.\., 2\)"):
        OrderedUniform(0, 1).log_prob(jnp.full(shape, 0.5))


# by NUTS


@pytest.mark.parametrize("size", [2, 3])
def test_nuts_draws_the_bare_prior(size):
    """Kept far apart, the draws of a short autocorrelation are independent."""

    def model():
        numpyro.sample("x", OrderedUniform(-4, 4, size))

    mcmc = MCMC(NUTS(model), num_warmup=500, num_samples=20_000, progress_bar=False)
    mcmc.run(jax.random.key(0), extra_fields=("diverging",))
    assert not np.any(mcmc.get_extra_fields()["diverging"])
    values = (np.asarray(mcmc.get_samples()["x"])[::10] + 4) / 8
    assert np.all(np.diff(values) >= 0)
    for k in range(1, size + 1):
        lag_one = np.corrcoef(values[1:, k - 1], values[:-1, k - 1])[0, 1]
        assert abs(lag_one) < stats.norm.isf(FALSE_ALARM / 2) / len(values) ** 0.5
        p = stats.kstest(values[:, k - 1], stats.beta(k, size + 1 - k).cdf).pvalue
        assert p > FALSE_ALARM / size
