"""Amplitudes integrated out against multivariate normals, integrals and sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from jax.test_util import check_grads
from numpy.polynomial.chebyshev import chebval
from numpyro.distributions import Normal, Uniform
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density
from scipy import stats
from scipy.integrate import quad

from jaxbayes.linear import (
    conditional,
    draw,
    gram_schmidt,
    marginal_log_likelihood,
    polynomial_basis,
    whiten,
)

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
N = 40
X = np.linspace(-5, 5, N)
RNG = np.random.default_rng(0)
YERR = RNG.uniform(0.1, 0.5, N)
SHAPE = np.array([-0.5, 0.6, -0.5, -0.1])  # two means, two logarithms of widths
FLAT = {}
GAUSSIAN = {"loc": np.array([1.0, 2.0, 0.5]), "scale": np.array([2.0, 0.5, 3.0])}
MIXED = {"loc": np.array([1.0, 2.0, 0.5]), "scale": np.array([2.0, 0.5, np.inf])}
PRIORS = pytest.mark.parametrize(
    "prior", [FLAT, GAUSSIAN, MIXED], ids=["flat", "gaussian", "mixed"]
)


@pytest.fixture(autouse=True)
def x64():
    """Turn JAX's 64-bit mode on for each test."""
    with jax.enable_x64(True):
        yield


def basis_at(shape, x=X):
    """Return two lines and a constant, one a column."""
    lines = jnp.exp(-0.5 * ((x[:, None] - shape[:2]) / jnp.exp(shape[2:])) ** 2)
    return jnp.concatenate([lines, polynomial_basis(x, 0, (-5, 5))], axis=1)


Y = np.asarray(basis_at(SHAPE) @ jnp.array([2.0, 1.5, 0.3])) + RNG.normal(0, YERR)


def log_joint(a, basis, y, yerr, loc=0.0, scale=np.inf):
    """Return the log density of data and amplitudes, term by term."""
    log_prior = stats.norm.logpdf(a, loc, np.where(np.isinf(scale), 1.0, scale))
    log_prior = np.where(np.isinf(np.broadcast_to(scale, a.shape)), 0.0, log_prior)
    return stats.norm.logpdf(y, basis @ a, yerr).sum() + log_prior.sum()


def gap(function, prior):
    """Compare p(y) with p(y, a) / p(a | y) at a few a: zero for the right function."""
    basis = np.asarray(basis_at(SHAPE))
    mean, root = (np.asarray(part) for part in conditional(basis, Y, YERR, **prior))
    given = stats.multivariate_normal(mean, root @ root.T)
    amplitudes = given.rvs(5, random_state=0)
    ratios = [
        log_joint(a, basis, Y, YERR, **prior) - given.logpdf(a) for a in amplitudes
    ]
    return np.max(np.abs(np.array(ratios) - function(basis, Y, YERR, **prior)))


# the integral


def test_a_gaussian_prior_gives_a_multivariate_normal():
    basis = np.asarray(basis_at(SHAPE))
    loc, scale = GAUSSIAN["loc"], GAUSSIAN["scale"]
    cov = np.diag(YERR**2) + basis @ np.diag(scale**2) @ basis.T
    expected = stats.multivariate_normal(basis @ loc, cov).logpdf(Y)
    value = marginal_log_likelihood(basis, Y, YERR, **GAUSSIAN)
    np.testing.assert_allclose(value, expected, rtol=1e-11)


@PRIORS
def test_bayes_theorem_holds_at_any_amplitudes(prior):
    assert gap(marginal_log_likelihood, prior) < 1e-9


@PRIORS
def test_a_wrong_sign_is_caught(prior):
    def wrong(basis, y, yerr, loc=0.0, scale=np.inf):
        rows, _, _ = whiten(basis, y, yerr, loc, scale)
        log_det = jnp.linalg.slogdet(rows.T @ rows)[1]
        right = marginal_log_likelihood(basis, y, yerr, loc=loc, scale=scale)
        return right + log_det  # as if the volume were multiplied

    assert gap(wrong, prior) > 1


@pytest.mark.parametrize("scale", [np.inf, 0.3])
def test_one_amplitude_matches_quadrature(scale):
    basis = np.asarray(basis_at(SHAPE))[:, :1]
    y = basis[:, 0] * 2.0 + 0.1 * np.sin(X)
    top = log_joint(np.array([2.0]), basis, y, YERR, 1.0, scale)

    def density(a):
        return np.exp(log_joint(np.array([a]), basis, y, YERR, 1.0, scale) - top)

    integral = quad(density, -2, 6, points=[2.0], epsabs=0, epsrel=1e-11)[0]
    value = marginal_log_likelihood(basis, y, YERR, loc=1.0, scale=scale)
    np.testing.assert_allclose(value, top + np.log(integral), rtol=1e-9)


def test_flat_is_the_limit_of_wide_priors():
    basis = basis_at(SHAPE)
    flat = marginal_log_likelihood(basis, Y, YERR)
    gaps = []
    for scale in (1e2, 1e3, 1e4):
        wide = marginal_log_likelihood(basis, Y, YERR, loc=1.0, scale=scale)
        gaps.append(flat - (wide + 3 * np.log(np.sqrt(2 * np.pi) * scale)))
    assert abs(gaps[-1]) < 1e-6
    np.testing.assert_allclose(gaps[0] / gaps[1], 100, rtol=1e-2)  # as 1 / scale^2


def test_more_columns_than_points_are_fine_with_a_gaussian_prior():
    basis = RNG.normal(size=(2, 3))
    cov = 0.25 * np.eye(2) + 4 * basis @ basis.T
    expected = stats.multivariate_normal(np.zeros(2), cov).logpdf(Y[:2])
    value = marginal_log_likelihood(basis, Y[:2], 0.5, scale=2.0)
    np.testing.assert_allclose(value, expected, rtol=1e-11)


def test_one_error_bar_for_all_is_the_same_as_many():
    basis = basis_at(SHAPE)
    many = marginal_log_likelihood(basis, Y, np.full(N, 0.3), scale=np.full(3, 2.0))
    one = marginal_log_likelihood(basis, Y, 0.3, scale=2.0)
    np.testing.assert_allclose(one, many, rtol=1e-14)


# the amplitudes


@PRIORS
def test_conditional_solves_the_normal_equations(prior):
    basis = np.asarray(basis_at(SHAPE))
    precision = np.diag(np.broadcast_to(prior.get("scale", np.inf), 3) ** -2.0)
    matrix = basis.T @ (basis / YERR[:, None] ** 2) + precision
    right = basis.T @ (Y / YERR**2) + precision @ np.broadcast_to(
        prior.get("loc", 0.0), 3
    )
    mean, root = conditional(basis, Y, YERR, **prior)
    np.testing.assert_allclose(mean, np.linalg.solve(matrix, right), rtol=1e-10)
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(matrix), rtol=1e-9)
    np.testing.assert_array_equal(root, np.triu(root))


def test_draws_follow_the_conditional():
    n, basis = 20_000, basis_at(SHAPE)
    keys = jax.random.split(jax.random.key(0), n)
    draws = jax.vmap(lambda key: draw(key, basis, Y, YERR, **MIXED))(keys)
    mean, root = conditional(basis, Y, YERR, **MIXED)
    z = np.linalg.solve(root, (draws - mean).T)  # independent unit normals
    tail = FALSE_ALARM / 4
    for row in z:
        assert stats.kstest(row, "norm").pvalue > tail
    pairs = np.array([z[0] * z[1], z[0] * z[2], z[1] * z[2]]).sum(axis=1)
    assert stats.chi2.sf(np.sum(pairs**2) / n, 3) > tail


def test_draws_map_over_keys_and_bases():
    shapes = SHAPE + 0.01 * RNG.normal(size=(7, 4))
    keys = jax.random.split(jax.random.key(0), 7)
    bases = jax.vmap(basis_at)(shapes)
    together = jax.vmap(draw, (0, 0, None, None))(keys, bases, Y, YERR)
    alone = [draw(*pair, Y, YERR) for pair in zip(keys, bases, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-9)


# derivatives, compilation, precision and units


def with_everything(shape, y, yerr, loc, scale):
    """Make each input of the likelihood an argument that can be differentiated."""
    scale = jnp.append(scale, jnp.inf)
    return marginal_log_likelihood(basis_at(shape), y, yerr, loc=loc, scale=scale)


def test_derivatives_of_every_input():
    args = (SHAPE, Y, YERR, MIXED["loc"], MIXED["scale"][:2])
    compiled = jax.jit(with_everything)
    check_grads(compiled, args, order=2, modes=["rev"], atol=1e-4, rtol=1e-4)
    check_grads(compiled, args, order=1, modes=["fwd"], atol=1e-4, rtol=1e-4)


def test_gradient_of_the_flat_prior_matches_projection():
    # chi squared at the best amplitudes has no slope along them
    def projected(shape):
        a = jax.lax.stop_gradient(conditional(basis_at(shape), Y, YERR)[0])
        chi2 = jnp.sum(((Y - basis_at(shape) @ a) / YERR) ** 2)
        rows = basis_at(shape) / YERR[:, None]
        return -chi2 / 2 - jnp.linalg.slogdet(rows.T @ rows)[1] / 2

    def value(shape):
        return marginal_log_likelihood(basis_at(shape), Y, YERR)

    np.testing.assert_allclose(
        jax.grad(value)(SHAPE), jax.grad(projected)(SHAPE), rtol=1e-8
    )


@PRIORS
def test_jit_and_vmap_change_nothing(prior):
    def value(shape):
        return marginal_log_likelihood(basis_at(shape), Y, YERR, **prior)

    shapes = SHAPE + 0.01 * RNG.normal(size=(5, 4))
    alone = [value(shape) for shape in shapes]
    together = jax.jit(jax.vmap(value))(shapes)
    np.testing.assert_allclose(together, alone, rtol=1e-11)


@PRIORS
def test_single_precision_comes_close(prior):
    basis = np.asarray(basis_at(SHAPE))
    double = marginal_log_likelihood(basis, Y, YERR, **prior)
    mean = conditional(basis, Y, YERR, **prior)[0]
    with jax.enable_x64(False):
        single = marginal_log_likelihood(basis, Y, YERR, **prior)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, rtol=1e-5)
        close = conditional(basis, Y, YERR, **prior)[0]
        np.testing.assert_allclose(close, mean, rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-17, 1e-24, 1e20])
def test_units_do_not_matter_in_single_precision(unit):
    basis = np.asarray(basis_at(SHAPE))
    expected = float(marginal_log_likelihood(basis, Y, YERR)) - (N - 3) * np.log(unit)
    mean, root = (np.asarray(part) for part in conditional(basis, Y, YERR))
    with jax.enable_x64(False):
        data = basis, unit * Y, unit * YERR
        np.testing.assert_allclose(marginal_log_likelihood(*data), expected, rtol=1e-5)
        scaled = conditional(*data)
        np.testing.assert_allclose(scaled[0] / unit, mean, rtol=1e-4)
        np.testing.assert_allclose(scaled[1] / unit, root, rtol=1e-3, atol=1e-6)
        columns = basis * np.array([unit, 1.0, 1.0])
        value = marginal_log_likelihood(columns, Y, YERR)
        expected += (N - 3) * np.log(unit) - np.log(unit)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(
            conditional(columns, Y, YERR)[0][0] * unit, mean[0], rtol=1e-4
        )


# columns that depend on each other


EQUAL = np.array([0.3, 0.3, 0.1, 0.1])
AWAY = np.array([0.3, 900.0, 0.1, 0.1])  # zero at every point


@pytest.mark.parametrize("shape", [EQUAL, AWAY], ids=["equal", "away"])
@pytest.mark.parametrize("flag", [True, False], ids=["float64", "float32"])
def test_a_flat_prior_on_dependent_columns_is_minus_infinity(shape, flag):
    with jax.enable_x64(flag):

        @jax.jit
        def value(shape):
            return marginal_log_likelihood(basis_at(shape), Y, YERR)

        shapes = np.stack([shape, SHAPE])
        (here, there), slopes = jax.jit(jax.vmap(jax.value_and_grad(value)))(shapes)
        assert value(shape) == here == -np.inf
        assert np.isfinite(there)
        assert np.all(slopes[0] == 0)
        assert np.all(np.isfinite(slopes[1]))
        basis = basis_at(shape)
        assert np.all(np.isnan(conditional(basis, Y, YERR)[0]))
        assert np.all(np.isnan(draw(jax.random.key(0), basis, Y, YERR)))


@pytest.mark.parametrize("shape", [EQUAL, AWAY], ids=["equal", "away"])
def test_a_gaussian_prior_takes_dependent_columns(shape):
    basis = np.asarray(basis_at(shape))
    cov = np.diag(YERR**2) + 4 * basis @ basis.T
    expected = stats.multivariate_normal(np.zeros(N), cov).logpdf(Y)
    value = marginal_log_likelihood(basis, Y, YERR, scale=2.0)
    np.testing.assert_allclose(value, expected, rtol=1e-11)
    assert np.all(np.isfinite(conditional(basis, Y, YERR, scale=2.0)[1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k"), [(10, 2), (1000, 5), (100_000, 4)])
def test_rank_is_judged_by_rounding(dtype, n, k):
    columns = RNG.normal(size=(n, k - 1)).astype(dtype)
    last = columns @ RNG.normal(size=(k - 1, 1)).astype(dtype)
    eps = np.finfo(dtype).eps
    for part, rank in ((0.0, False), (1e4 * eps, True)):
        other = part * np.linalg.norm(last) / np.sqrt(n) * RNG.normal(size=(n, 1))
        matrix = np.concatenate([columns, last + other], axis=1, dtype=dtype)
        *_, full_rank = gram_schmidt(jnp.asarray(matrix), matrix[:, 0])
        assert full_rank == rank


@pytest.mark.parametrize("near", [1e-3, 1e-6, 1e-10])
def test_nearly_equal_columns_lose_no_more_than_they_must(near):
    columns = RNG.normal(size=(30, 3))
    columns[:, 2] = columns[:, 1] + near * RNG.normal(size=30)
    values = RNG.normal(size=30)
    r, z, rest, full_rank = gram_schmidt(jnp.asarray(columns), jnp.asarray(values))
    assert full_rank
    q, triangle = np.linalg.qr(columns)  # by Householder's reflections
    signs = np.sign(np.diag(triangle))
    np.testing.assert_allclose(r, triangle * signs[:, None], rtol=1e-14 / near)
    np.testing.assert_allclose(z, q.T @ values * signs, rtol=1e-13 / near)
    expected = values - q @ (q.T @ values)
    np.testing.assert_allclose(rest, expected, atol=1e-14 / near)


# the baseline


@pytest.mark.parametrize("degree", [0, 1, 2, 7])
def test_polynomials_are_chebyshevs(degree):
    x = np.linspace(6550, 6570, 9)
    columns = polynomial_basis(x, degree, (6550, 6570))
    expected = chebval(np.linspace(-1, 1, 9), np.eye(degree + 1)).T
    np.testing.assert_allclose(columns, expected, atol=1e-12)
    jitted = jax.jit(lambda x: polynomial_basis(x, degree, (6550, 6570)))(x)
    np.testing.assert_allclose(jitted, expected, atol=1e-12)


def test_a_numpy_axis_keeps_its_precision():
    x = 2_460_000 + np.linspace(0, 1, 5)  # days, which single precision cannot hold
    with jax.enable_x64(False):
        columns = polynomial_basis(x, 1, (2_460_000, 2_460_001))
        np.testing.assert_allclose(columns[:, 1], np.linspace(-1, 1, 5), atol=1e-6)


def test_a_flat_baseline_absorbs_any_polynomial():
    x = np.linspace(6550, 6570, N)
    line = np.exp(-0.5 * (x[:, None] - 6561) ** 2)
    baseline = polynomial_basis(x, 3, (6550, 6570))
    basis = jnp.concatenate([line, baseline], axis=1)
    before = marginal_log_likelihood(basis, Y, YERR)
    raised = Y + 7 - 0.3 * (x - 6560) + 1e-2 * (x - 6560) ** 3
    np.testing.assert_allclose(
        marginal_log_likelihood(basis, raised, YERR), before, rtol=1e-10
    )
    same = conditional(basis, raised, YERR)[0][0]
    np.testing.assert_allclose(same, conditional(basis, Y, YERR)[0][0], rtol=1e-9)


# the same posterior by other routes: one line on a constant, its place unknown

POINTS = np.linspace(-5, 5, 200)
SHARP = np.asarray(jnp.exp(-0.5 * (POINTS - 0.4) ** 2) + 0.2) + np.random.default_rng(
    1
).normal(0, 0.5, 200)
GRID = np.linspace(-1.5, 2.5, 201)
LOC, SCALE = np.array([0.5, 0.0]), np.array([1.0, np.inf])


def one_line(place):
    """Return a line of width one at its place, and a constant."""
    line = jnp.exp(-0.5 * (POINTS[:, None] - place) ** 2)
    return jnp.concatenate([line, polynomial_basis(POINTS, 0, (-5, 5))], axis=1)


def on_grid(**prior):
    """Return weights of the grid of places, and the conditionals there."""
    bases = jax.vmap(one_line)(GRID)

    def both(basis):
        data = basis, SHARP, 0.5
        return marginal_log_likelihood(*data, **prior), conditional(*data, **prior)

    density, (mean, root) = jax.vmap(both)(bases)
    weights = np.exp(density - density.max())
    assert max(weights[0], weights[-1]) < 1e-9 * weights.max()
    return weights / weights.sum(), np.asarray(mean), np.asarray(root)


def test_nuts_with_amplitudes_agrees_with_the_grid_without():
    def model():
        place = numpyro.sample("place", Uniform(-5, 5))
        line = numpyro.sample("line", Normal(0.5, 1.0))
        level = numpyro.sample("level", Uniform(-100, 100))  # as good as flat
        curve = one_line(place) @ jnp.array([line, level])
        numpyro.sample("y", Normal(curve, 0.5), obs=SHARP)

    mcmc = MCMC(
        NUTS(model, dense_mass=True),
        num_warmup=500,
        num_samples=1_000,
        num_chains=2,
        chain_method="sequential",
        progress_bar=False,
    )
    mcmc.run(jax.random.key(0))
    draws = mcmc.get_samples(group_by_chain=True)
    weights, mean, root = on_grid(loc=LOC, scale=SCALE)
    variance = np.sum(root**2, axis=2)
    columns = {
        "place": (GRID, 0 * GRID),
        "line": (mean[:, 0], variance[:, 0]),
        "level": (mean[:, 1], variance[:, 1]),
    }
    worst = stats.norm.isf(FALSE_ALARM / 2 / 6)
    for name, (center, spread) in columns.items():
        first = weights @ center
        second = weights @ (spread + (center - first) ** 2)
        chains = np.asarray(draws[name])
        for values, expected in (
            (chains, first),
            ((chains - first) ** 2, second),
        ):
            error = np.std(values) / np.sqrt(
                numpyro.diagnostics.effective_sample_size(values)
            )
            assert abs(values.mean() - expected) < worst * error


def test_draws_in_a_box_follow_the_uniform_prior():
    low, high = 0.9, 1.1  # cuts off both tails of the line
    weights, *_ = on_grid()
    n = 20_000
    place = np.random.default_rng(2).choice(GRID.size, n, p=weights)
    keys = jax.random.split(jax.random.key(1), n)
    bases = jax.vmap(one_line)(GRID[place])
    amplitudes = jax.vmap(draw, (0, 0, None, None))(keys, bases, SHARP, 0.5)
    inside = (low < amplitudes[:, 0]) & (amplitudes[:, 0] < high)
    # directly: the likelihood on a grid of places and amplitudes, the level integrated
    line = np.linspace(low, high, 101)

    def density(place, line):
        basis = one_line(place)
        return marginal_log_likelihood(basis[:, 1:], SHARP - basis[:, 0] * line, 0.5)

    logs = jax.vmap(jax.vmap(density, (None, 0)), (0, None))(GRID, line)
    total = jax.vmap(lambda place: marginal_log_likelihood(one_line(place), SHARP, 0.5))
    unit = np.sum(np.exp(total(GRID) - logs.max()))
    joint = np.exp(logs - logs.max())
    share = np.sum(np.trapezoid(joint, line, axis=1)) / unit
    assert 0.2 < share < 0.8
    assert stats.binomtest(int(inside.sum()), n, share).pvalue > FALSE_ALARM / 3
    of_line = joint.sum(axis=0)
    steps = (of_line[1:] + of_line[:-1]) / 2
    cdf = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    kept = np.asarray(amplitudes[inside, 0])
    ks = stats.kstest(kept, lambda a: np.interp(a, line, cdf))
    assert ks.pvalue > FALSE_ALARM / 3
    of_place = joint.sum(axis=1) / joint.sum()
    center = of_place @ GRID
    error = np.sqrt(of_place @ (GRID - center) ** 2 / kept.size)
    pull = (GRID[place][inside].mean() - center) / error
    assert abs(pull) < stats.norm.isf(FALSE_ALARM / 6)


# in a model


def test_a_numpyro_model_takes_it():
    def model(y, yerr):
        shape = numpyro.sample("shape", Normal(0, 1).expand([4]).to_event(1))
        value = marginal_log_likelihood(basis_at(shape), y, yerr, **MIXED)
        numpyro.factor("likelihood", value)

    total, _ = log_density(model, (Y, YERR), {}, {"shape": SHAPE})
    expected = marginal_log_likelihood(basis_at(SHAPE), Y, YERR, **MIXED)
    expected += stats.norm.logpdf(SHAPE).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-12)


# bad input


def spoiled(values, bad):
    """Return a copy with one bad value."""
    values = np.array(values, dtype=float)
    values.flat[3] = bad
    return values


BASIS = np.asarray(basis_at(SHAPE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"basis": Y}, r"basis must have shape \(N, K\), got \(40,\)"),
        ({"basis": BASIS.T}, "y must have a value for each row of basis, 3, got"),
        ({"y": Y[:, None]}, r"y must have a value .*, 40, got \(40, 1\)"),
        ({"yerr": YERR[1:]}, r"yerr must be one number or of shape \(40,\), got"),
        ({"yerr": YERR[:, None]}, "yerr must be one number or of shape"),
        (
            {"loc": np.zeros(2)},
            r"loc must be one number or of shape \(3,\), got \(2,\)",
        ),
        ({"scale": np.ones((3, 1))}, "scale must be one number or of shape"),
        ({"basis": spoiled(BASIS, np.nan)}, "basis must be finite, got nan"),
        ({"y": spoiled(Y, np.inf)}, "y must be finite, got inf"),
        ({"yerr": spoiled(YERR, np.nan)}, "yerr must be finite, got nan"),
        ({"yerr": spoiled(YERR, 0.0)}, "yerr must be positive, got 0.0"),
        ({"loc": np.inf}, "loc must be finite, got inf"),
        ({"scale": -1.0}, "scale must be positive, got -1.0"),
        ({"scale": np.nan}, "scale must be positive, got nan"),
        ({"y": 1j * Y}, "y must be real, got complex128"),
        (
            {"basis": BASIS[:2], "y": Y[:2], "yerr": 0.3},
            "basis has 3 columns of flat prior for 2 points",
        ),
    ],
)
@pytest.mark.parametrize("function", [marginal_log_likelihood, conditional, draw])
def test_bad_input_is_named(function, changes, message):
    inputs = {"basis": BASIS, "y": Y, "yerr": YERR} | changes
    args = [inputs.pop(name) for name in ("basis", "y", "yerr")]
    key = [jax.random.key(0)] if function is draw else []
    with pytest.raises(ValueError, match=message):
        function(*key, *args, **inputs)


def test_bad_data_are_named_while_the_basis_is_traced():
    @jax.jit
    def value(shape):
        return marginal_log_likelihood(basis_at(shape), spoiled(Y, np.nan), YERR)

    with pytest.raises(ValueError, match="y must be finite, got nan"):
        value(SHAPE)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((X[:, None], 1, (-5, 5)), ValueError, r"x must have shape \(N,\)"),
        ((X, -1, (-5, 5)), ValueError, "degree must not be below 0, got -1"),
        ((X, 1.0, (-5, 5)), TypeError, "degree must be an integer, got float"),
        ((X, 1, (5, -5)), ValueError, "interval must be two increasing numbers"),
        ((X, 1, (5, 5)), ValueError, "interval must be two increasing numbers"),
        ((X, 1, (0, np.inf)), ValueError, "interval must be two increasing numbers"),
        ((X, 1, 5), ValueError, "interval must be two increasing numbers, got 5"),
    ],
)
def test_bad_polynomials_are_named(args, error, message):
    with pytest.raises(error, match=message):
        polynomial_basis(*args)
