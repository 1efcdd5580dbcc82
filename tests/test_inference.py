"""The models against SciPy, starting points, and runs whose answer is known."""

import csv
import importlib
import itertools
import re
import sys
from pathlib import Path

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import Predictive, init_to_median, init_to_value
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn
from scipy import stats

from jaxbayes.data import PARAMETERS, TRUTH, simulate
from jaxbayes.fitting import chi2_numpy, fit
from jaxbayes.inference import (
    HIGH,
    LOW,
    SITES,
    _complaints,
    free_model,
    ordered_model,
    sample,
    starting_points,
    to_params,
)
from jaxbayes.models import double_gaussian_numpy

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
ROOT = Path(__file__).parents[1]
MODELS = [free_model, ordered_model]
SMALL = simulate(0, 50)
PRECISE = simulate(0, 300, noise=0.05)  # its posterior is nearly a Gaussian
TUTORIAL = simulate(np.random.RandomState(0))
CORNER = {
    "amplitude": np.array([1.01, 2.8]),
    "mean": np.array([-3.99, 0.0]),
    "width": np.array([0.51, 0.9]),
}


@pytest.fixture
def x64():
    """Turn JAX's 64-bit mode on for one test."""
    with jax.enable_x64(True):
        yield


def in_prior(n):
    """Draw parameters from the prior of the ordered model, as dictionaries."""
    pairs = np.random.default_rng(0).uniform(LOW, HIGH, (n, 6)).reshape(n, 2, 3)
    pairs[:, :, 1].sort(axis=1)
    return [{name: one[:, i] for i, name in enumerate(SITES)} for one in pairs]


def straight(x, y=None, yerr=0.3):
    """State a straight line for NumPyro, with a prior that is flat in effect."""
    with numpyro.plate("component", 2):
        mean = numpyro.sample("mean", dist.Uniform(-1e3, 1e3))
    numpyro.sample("y", dist.Normal(mean[0] + mean[1] * x, yerr), obs=y)


@pytest.fixture(scope="module")
def run():
    """Draw once, from a posterior that gives no cause for complaint."""
    return sample(ordered_model, PRECISE, 0)


# the models


def test_params_are_in_their_order():
    values = {"amplitude": TRUTH[[0, 3]], "mean": TRUTH[[1, 4]], "width": TRUTH[[2, 5]]}
    np.testing.assert_allclose(to_params(**values), TRUTH, rtol=1e-6)
    many = {name: np.broadcast_to(v, (3, 4, 2)) for name, v in values.items()}
    params = to_params(**many)
    assert params.shape == (3, 4, len(PARAMETERS))
    np.testing.assert_allclose(params[2, 1], TRUTH, rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_ends_are_those_of_the_priors(model):
    trace = handlers.trace(handlers.seed(model, 0)).get_trace(SMALL.x)
    supports = [trace[name]["fn"].support for name in SITES]
    for i, support in enumerate(supports):
        assert np.all(support.lower_bound == LOW[i::3])
        assert np.all(support.upper_bound == HIGH[i::3])


@pytest.mark.parametrize(
    ("flag", "rtol"), [(True, 1e-12), (False, 1e-5)], ids=["float64", "float32"]
)
@pytest.mark.parametrize("yerr", [0.7, np.linspace(0.1, 0.5, 50)], ids=["one", "many"])
@pytest.mark.parametrize("model", MODELS)
def test_log_density_is_what_scipy_says(model, yerr, flag, rtol):
    x, y = SMALL.x, SMALL.y
    for values in in_prior(10):
        params = np.stack([values[name] for name in SITES], axis=-1).ravel()
        expected = stats.norm(double_gaussian_numpy(params, x), yerr).logpdf(y).sum()
        expected += stats.uniform(LOW, HIGH - LOW).logpdf(params).sum()
        expected += np.log(2) if model is ordered_model else 0  # one order of two
        with jax.enable_x64(flag):
            found, _ = log_density(model, (x, y, yerr), {}, values)
        np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("model", MODELS)
def test_log_density_is_minus_half_of_chi2(x64, model):
    first, second = in_prior(2)
    params = [
        np.stack([v[name] for name in SITES], -1).ravel() for v in (first, second)
    ]
    drop = np.diff([chi2_numpy(one, *SMALL) for one in params])
    rise = np.diff([log_density(model, SMALL, {}, v)[0] for v in (first, second)])
    np.testing.assert_allclose(rise, -drop / 2, rtol=1e-12)


def test_free_model_has_a_mirror_image_and_the_ordered_has_none(x64):
    values = in_prior(1)[0]
    mirror = {name: value[::-1] for name, value in values.items()}
    there, image = (log_density(free_model, SMALL, {}, v)[0] for v in (values, mirror))
    np.testing.assert_allclose(there, image, rtol=1e-12)
    with pytest.warns(UserWarning, match="Out-of-support"):
        assert log_density(ordered_model, SMALL, {}, mirror)[0] == -np.inf


@pytest.mark.parametrize("model", MODELS)
def test_gradients_are_finite_all_over_the_prior(model):
    values = jax.tree.map(lambda *leaves: jnp.stack(leaves), *in_prior(20))

    def energy(values):
        start = unconstrain_fn(model, TUTORIAL, {}, values)
        return potential_energy(model, TUTORIAL, {}, start)

    gradients = jax.jit(jax.vmap(jax.grad(energy)))(values)
    assert np.all([np.isfinite(leaf) for leaf in jax.tree.leaves(gradients)])


@pytest.mark.parametrize("model", MODELS)
def test_prior_predictive(model):
    n = 1000
    drawn = Predictive(model, num_samples=n)(jax.random.key(0), SMALL.x)
    assert {name: value.shape for name, value in drawn.items()} == {
        "amplitude": (n, 2),
        "mean": (n, 2),
        "width": (n, 2),
        "y": (n, 50),
    }
    ordered = np.mean(drawn["mean"][:, 0] <= drawn["mean"][:, 1])
    assert ordered == 1 if model is ordered_model else 0.3 < ordered < 0.7
    params = np.asarray(to_params(*(drawn[name] for name in SITES)))
    assert np.all((params >= LOW) & (params <= HIGH))
    noise = drawn["y"] - np.array([double_gaussian_numpy(p, SMALL.x) for p in params])
    assert stats.kstest(noise.ravel() / 0.3, "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("model", MODELS)
def test_models_refuse_mismatched_data(model):
    with pytest.raises(ValueError, match=r"y must have the shape of x, \(50,\), got"):
        log_density(model, (SMALL.x, SMALL.y[:1], 0.3), {}, in_prior(1)[0])


# starting points


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize(
    "profile",
    [
        TUTORIAL,
        simulate(1, 200),
        simulate(2, 6, noise=3.0),  # says next to nothing
        simulate(3, 200, params=[1.0, -4.0, 0.5, 3.0, 4.0, 1.5]),  # in a corner
        simulate(4, 200, params=[2.0, 0.5, 1.0, 2.0, 0.5, 1.0]),  # one upon the other
        simulate(5, 200, params=[9.0, 0.5, 3.0, -2.0, 9.0, 0.1]),  # out of reach
    ],
    ids=["tutorial", "few", "hardly any", "corner", "single", "outside"],
)
def test_starting_points_are_what_the_ordered_model_allows(profile, flag):
    with jax.enable_x64(flag):
        start = starting_points(profile, 0, 50)
        assert jax.config.jax_enable_x64 is flag
    assert list(start) == list(SITES)
    for i, values in enumerate(start.values()):
        assert (values.shape, values.dtype) == ((50, 2), float)
        assert np.all((values > LOW[i]) & (values < HIGH[i]))
        assert len(np.unique(values)) == 100
    assert np.all(start["mean"][:, 0] < start["mean"][:, 1])


@pytest.mark.parametrize("n", [20_000, 200])
def test_starting_points_are_never_in_the_corner(n):
    profile = simulate(np.random.RandomState(0), n)
    corner = np.stack([CORNER[name] for name in SITES], axis=-1).ravel()
    assert chi2_numpy(corner, *profile) > chi2_numpy(TRUTH, *profile) + 100
    for seed in range(20):
        params = as_params(starting_points(profile, seed))
        assert np.all(params[:, 1] > -2)


def as_params(start):
    """Put starting points into rows of parameters."""
    return np.asarray(to_params(*(start[name] for name in SITES)), dtype=float)


def test_starting_points_surround_the_fit_more_widely_than_the_posterior():
    """Compare 4000 points with the best fit and the spread of the posterior.

    It should be twice as wide. The posterior is not quite a Gaussian, and narrower
    than the one that its center suggests.
    """
    n = 4000
    params = as_params(starting_points(TUTORIAL, 0, n))
    best = fit(TUTORIAL, TRUTH)
    spread = params.std(axis=0)
    z = stats.norm.isf(FALSE_ALARM / 12)
    off = np.abs(params.mean(axis=0) - best.params)
    assert np.all(off < z * spread / n**0.5 + 1e-3 * spread)
    of_posterior = [float(row["sd"]) for row in reference()]
    assert np.all((spread / of_posterior > 2) & (spread / of_posterior < 3))


def test_starting_points_depend_on_the_seed_alone():
    one, same, other = (starting_points(SMALL, seed)["mean"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.all(one != other)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(one, starting_points(SMALL, generator)["mean"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((SMALL.x, SMALL.y, 0), 0), ValueError, "yerr must be positive"),
        ((SMALL, 0, 0), ValueError, "chains must be at least 1, got 0"),
        ((SMALL, None), TypeError, "seed must be an integer or a generator"),
    ],
)
def test_starting_points_name_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        starting_points(*arguments)


# runs


def reference():
    """Read the reference of the posterior of the tutorial's data."""
    with Path(__file__).with_name("reference_posterior.csv").open() as file:
        return list(csv.DictReader(file))


def pulls(params, method="mean"):
    """Compare draws with the reference, in Monte Carlo errors of the two."""
    of_each = {name: params[..., i] for i, name in enumerate(PARAMETERS)}
    error = arviz.mcse(arviz.from_dict({"posterior": of_each}), method=method)
    summary = {"mean": np.mean, "sd": np.std}[method]
    return np.array(
        [
            (summary(params[..., i]) - float(row[method]))
            / np.hypot(float(row[f"mcse_{method}"]), float(error[PARAMETERS[i]]))
            for i, row in enumerate(reference())
        ]
    )


def test_posterior_of_the_tutorial_agrees_with_the_reference():
    """Sample all 20,000 points: six means within 3 errors, six spreads within 4.

    If they agree, chance breaks the first less than once in 60 keys, the second
    less than once in 2000.
    """
    tree = sample(ordered_model, TUTORIAL, 0)
    params = to_params(*(tree.posterior[name].values for name in SITES))
    assert np.all(np.abs(pulls(params)) < 3)
    assert np.all(np.abs(pulls(params, "sd")) < 4)


def test_means_agree_with_the_reference_over_keys():
    """Sample with ten keys: sixty pulls within the false-alarm rate, and not shifted.

    The six parameters of a key are correlated, so their pulls count once.
    """
    stuck = script("stuck")
    with jax.enable_x64(True):
        draws, _ = stuck.runs(
            "tutorial", 20_000, "starting_points", range(10), 500, 500
        )
    found = np.array([pulls(params) for params in draws])
    assert found.shape == (10, 6)
    assert np.all(np.abs(found) < stats.norm.isf(FALSE_ALARM / 120))
    assert np.all(
        np.abs(found.mean(axis=0)) < stats.norm.isf(FALSE_ALARM / 12) / 10**0.5
    )


def test_posterior_of_a_line_in_closed_form(x64):
    x, y, yerr = np.linspace(-1, 2, 20), np.sin(np.arange(20)), np.full(20, 0.5)
    start = {"mean": np.random.default_rng(0).normal(size=(4, 2))}
    tree = sample(straight, (x, y, yerr), 0, start=start)
    slope_first, cov = np.polyfit(x, y, 1, w=1 / yerr, cov="unscaled")
    ess = arviz.ess(tree)["mean"].values
    draws = tree.posterior["mean"].values.reshape(-1, 2)
    sd = np.sqrt(np.diag(cov))[::-1]
    z = stats.norm.isf(FALSE_ALARM / 10)  # two sides of five numbers
    off = np.abs(draws.mean(axis=0) - slope_first[::-1])
    assert np.all(off < z * sd / np.sqrt(ess))
    few = np.min(ess) / 2  # that of squares may be lower than that of the values
    assert np.all(np.abs(draws.std(axis=0) / sd - 1) < z / np.sqrt(2 * few))
    r = np.corrcoef(draws.T)[0, 1]
    expected = cov[0, 1] / np.prod(sd)
    assert abs(np.arctanh(r) - np.arctanh(expected)) < z / np.sqrt(few)


def test_a_run_comes_as_arviz_has_it(run):
    posterior, statistics = run.posterior, run.sample_stats
    assert set(posterior.data_vars) == set(SITES)
    for values in posterior.data_vars.values():
        assert dict(values.sizes) == {"chain": 4, "draw": 1500, "component": 2}
    assert {"diverging", "energy", "n_steps", "lp", "acceptance_rate"} <= set(
        statistics
    )
    for values in (*posterior.data_vars.values(), *statistics.data_vars.values()):
        assert isinstance(values.data, np.ndarray)
    assert statistics["diverging"].dtype == bool
    assert np.all(statistics["n_steps"] > 0)
    np.testing.assert_allclose(run.observed_data["y"], PRECISE.y, rtol=1e-6)
    assert np.all(posterior["mean"][..., 0] <= posterior["mean"][..., 1])


def test_a_run_keeps_its_log_density(x64):
    options = {"num_chains": 1, "num_warmup": 50, "num_samples": 50}
    with pytest.warns(RuntimeWarning, match="draw more"):
        tree = sample(ordered_model, PRECISE, 0, **options)
    for draw in (0, 49):
        values = {name: tree.posterior[name].values[0, draw] for name in SITES}
        there = unconstrain_fn(ordered_model, PRECISE, {}, values)
        lp = -potential_energy(ordered_model, PRECISE, {}, there)
        assert tree.sample_stats["lp"].values[0, draw] == pytest.approx(float(lp))
    kinetic = tree.sample_stats["energy"] + tree.sample_stats["lp"]
    assert np.all(kinetic > 0)


def test_a_run_covers_the_truth_of_its_data(run):
    """Of a posterior that is nearly a Gaussian, chi squared with 6 parameters."""
    params = np.asarray(to_params(*(run.posterior[name].values for name in SITES)))
    drop = chi2_numpy(TRUTH, *PRECISE) - chi2_numpy(params.mean(axis=(0, 1)), *PRECISE)
    assert drop < stats.chi2(6).isf(FALSE_ALARM)


@pytest.mark.parametrize(
    ("flag", "method"), [(False, "sequential"), (True, "vectorized")]
)
def test_a_run_is_decided_by_its_seed(flag, method):
    start = {"mean": np.array([[0.0, 0.1], [0.1, 0.0]])}
    options = {"num_chains": 2, "num_warmup": 20, "num_samples": 20, "start": start}
    with jax.enable_x64(flag), pytest.warns(RuntimeWarning, match="draw more"):
        one, same, other = (
            sample(straight, SMALL, seed, chain_method=method, **options)
            .posterior["mean"]
            .values
            for seed in (0, 0, 1)
        )
    assert one.dtype == (np.float64 if flag else np.float32)
    np.testing.assert_array_equal(one, same)
    assert not np.any(one == other)


# where a run begins


def test_chains_begin_where_they_are_told_to():
    """One chain of four in the corner stays there, and is reported."""
    profile = simulate(0, 1000)
    start = starting_points(profile, 0)
    for name, value in CORNER.items():
        start[name][2] = value
    options = {"num_warmup": 100, "num_samples": 50}
    with pytest.warns(
        RuntimeWarning, match=r"R-hat is .* \(see where each chain"
    ) as seen:
        tree = sample(ordered_model, profile, 0, start=start, **options)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    x0 = tree.posterior["mean"].values[:, -1, 0]
    assert x0[2] < -3.9
    assert np.all(x0[[0, 1, 3]] > -1)


@pytest.mark.parametrize(
    ("strategy", "corner"),
    [(init_to_value(values=CORNER), True), (init_to_median, False)],
)
def test_chains_begin_by_a_strategy(strategy, corner):
    profile = simulate(0, 1000)
    options = {"num_chains": 2, "num_warmup": 100, "num_samples": 20}
    with pytest.warns(RuntimeWarning, match="draw more"):
        tree = sample(ordered_model, profile, 0, start=strategy, **options)
    assert np.all((tree.posterior["mean"].values[..., 0] < -3.5) == corner)


def test_the_free_model_keeps_the_order_it_begins_with():
    start = {name: v[:, ::-1] for name, v in starting_points(PRECISE, 0, 2).items()}
    options = {"num_chains": 2, "num_warmup": 100, "num_samples": 20}
    with pytest.warns(RuntimeWarning, match="draw more"):
        tree = sample(free_model, PRECISE, 0, start=start, **options)
    assert np.all(tree.posterior["mean"][..., 0] > tree.posterior["mean"][..., 1])


def test_no_run_sticks():
    """Sweep 20 keys at 200 points with the script that sweeps 200, and more points."""
    stuck = script("stuck")
    with jax.enable_x64(True):
        means, prices = stuck.sweep("tutorial", 200, "starting_points", range(20))
    assert prices.shape == (20, 4)
    assert np.all(prices < stuck.PRICE)
    assert np.all(means[..., 1] > -2)


def script(name):
    """Import a script of benchmarks/."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def test_the_recorded_sweep_found_no_stuck_run():
    with (ROOT / "benchmarks" / "stuck.csv").open() as file:
        rows = list(csv.DictReader(file))
    ours = {(r["data"], r["n"]): r for r in rows if r["start"] == "starting_points"}
    for data in itertools.product(("tutorial", "fresh"), ("20000", "200")):
        assert int(ours[data]["runs"]) == 200
        assert int(ours[data]["stuck_runs"]) == 0
    by_default = [r for r in rows if r["start"] == "init_to_uniform"]
    assert all(int(r["stuck_runs"]) > 0 for r in by_default)


# what a run says of itself


def fake(draws, diverging=0):
    """Make a tree of draws of shape ``(4, n)`` with some divergences."""
    flags = np.arange(draws.size).reshape(draws.shape) < diverging
    groups = {
        "posterior": {"x": draws[..., None]},
        "sample_stats": {"diverging": flags},
    }
    return arviz.from_dict(groups)


@pytest.mark.parametrize(
    ("n", "shift", "diverging", "complaints"),
    [
        (1000, 0, 0, []),
        (1000, 0, 3, ["3 of 4000 transitions diverged"]),
        (40, 0, 0, ["bulk ESS is .* below 400"]),
        (1000, 0.4, 0, ["R-hat is 1.0.* for x.0. "]),
        (1000, 9, 1, ["1 of 4000", "R-hat", "bulk ESS"]),
        (1000, np.nan, 0, ["R-hat is nan", "bulk ESS is nan"]),
    ],
)
def test_what_is_complained_of(n, shift, diverging, complaints):
    draws = np.random.default_rng(0).normal(size=(4, n))
    draws[0] += shift
    found = _complaints(fake(draws, diverging))
    assert len(found) == len(complaints)
    for text, pattern in zip(found, complaints, strict=True):
        assert re.search(pattern, text)


def test_a_run_says_once_that_it_is_not_to_be_trusted():
    options = {"target_accept": 0.3, "num_warmup": 200, "num_samples": 100}
    with pytest.warns(RuntimeWarning, match="do not trust these draws: .*draw more"):
        sample(ordered_model, SMALL, 0, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"profile": (SMALL.x, SMALL.y)}, ValueError, "profile must be"),
        ({"seed": 0.5}, TypeError, "seed must be an integer, got float"),
        ({"seed": None}, TypeError, "seed must be an integer, got NoneType"),
        ({"num_chains": 0}, ValueError, "num_chains must be a positive integer, got 0"),
        ({"num_warmup": -1}, ValueError, "num_warmup must be a nonnegative integer"),
        ({"num_samples": 0}, ValueError, "num_samples must be a positive integer"),
        ({"target_accept": 1}, ValueError, "target_accept must be between 0 and 1"),
        ({"chain_method": "fast"}, ValueError, "chain_method must be one of .* 'fast'"),
        ({"model": straight}, ValueError, r"start must have the shapes \{'mean'"),
        ({"model": lambda x: x}, ValueError, "model cannot be called with"),
        ({"start": "median"}, ValueError, "start must be a dictionary or a strategy"),
        ({"start": {}}, ValueError, r"start must have the shapes .* got \{\}"),
        ({"num_chains": 3, "start": CORNER}, ValueError, r"\(3, 2\).* got .*\(2,\)"),
        ({"start": "outside"}, ValueError, "start must lie within the prior of width"),
        ({"start": "unordered"}, ValueError, "start must lie within the prior of mean"),
        ({"start": "nan"}, ValueError, "start must lie within the prior of amplitude"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    good = starting_points(SMALL, 0)
    starts = {
        "outside": good | {"width": good["width"] + 1},
        "unordered": good | {"mean": good["mean"][:, ::-1]},
        "nan": good | {"amplitude": good["amplitude"] * np.nan},
    }
    start = options.get("start")
    if isinstance(start, str) and start in starts:
        options = options | {"start": starts[start]}
    arguments = {"model": ordered_model, "profile": SMALL, "seed": 0}
    with pytest.raises(error, match=message):
        sample(**(arguments | options))
