"""Starting points, NUTS and importance sampling where the answer is known."""

import csv
import functools
import importlib
import itertools
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import init_to_median, init_to_value
from numpyro.infer.util import potential_energy, unconstrain_fn
from scipy import stats

from jaxbayes import _complaints
from jaxbayes.compression import compress
from jaxbayes.data import PARAMETERS, TRUTH, simulate
from jaxbayes.fitting import chi2_numpy
from jaxbayes.inference import importance, sample, starting_points
from jaxbayes.models import (
    SITES,
    double_gaussian,
    free_model,
    gaussian_sum,
    ordered_model,
)
from jaxbayes.priors import OrderedUniform

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
ROOT = Path(__file__).parents[1]
TUTORIAL = compress(simulate(np.random.RandomState(0)))
X = np.linspace(-1, 2, 20)
NORMAL = dist.Normal


# models and data, most of them shared, since each model and shape compiles once


def line(x, y, yerr):
    """State a straight line, whose posterior is a Gaussian."""
    level = numpyro.sample("level", NORMAL(0, 2))
    slope = numpyro.sample("slope", NORMAL(0, 1))
    numpyro.deterministic("end", level + 2 * slope)
    numpyro.sample("y", NORMAL(level + slope * x, yerr), obs=y)


def line_and_truth(key):
    """Draw a line from its prior, and data from the line."""
    rng = np.random.default_rng(key)
    truth = rng.normal(size=2) * [2, 1]
    y = truth[0] + truth[1] * X + rng.normal(scale=0.5, size=X.size)
    return truth, (X, y, 0.5)


def in_closed_form(x, y, yerr):
    """Return mean and covariance of the posterior of a line."""
    design = np.stack([np.ones_like(x), x], axis=1)
    precision = design.T @ design / yerr**2 + np.diag([1 / 4, 1])
    covariance = np.linalg.inv(precision)
    return covariance @ design.T @ y / yerr**2, covariance


def one_line(x, y, yerr):
    """State one Gaussian by three single numbers."""
    amplitude = numpyro.sample("amplitude", dist.Uniform(0, 5))
    mean = numpyro.sample("mean", dist.Uniform(-5, 5))
    width = numpyro.sample("width", dist.Uniform(0.1, 2))
    curve = amplitude * jnp.exp(-0.5 * ((x - mean) / width) ** 2)
    numpyro.sample("y", NORMAL(curve, yerr), obs=y)


def two_places():
    """Return data that one Gaussian can fit in two places, equally well."""
    x = np.linspace(-5, 5, 60)
    bumps = double_gaussian([0.8, -2, 0.5, 0.8, 2, 0.5], x)
    return x, np.asarray(bumps, dtype=float), 0.3


LINES = np.array([3, 6557, 0.3, 5, 6559.6, 0.4, 2, 6562, 0.35])
BASE = np.array([1.0, 0.2])  # level, and slope per angstrom


def spectrum_model(x, y, yerr):
    """State three lines on a sloping continuum, in angstrom and 1e-17 erg and so on."""
    with numpyro.plate("line", 3):
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(1e-16))
        width = numpyro.sample("width", dist.LogNormal(-1, 0.5))
    mean = numpyro.sample(
        "mean", OrderedUniform(6555, 6564, 3), infer={"event_dims": ["line"]}
    )
    level = numpyro.sample("level", NORMAL(0, 1e-16))
    slope = numpyro.sample("slope", NORMAL(0, 1e-17))
    lines = gaussian_sum(jnp.ravel(jnp.stack([amplitude, mean, width], -1)), x)
    curve = lines + level + slope * (x - 6559.5)
    numpyro.sample("y", NORMAL(curve, yerr), obs=y)


def spectrum():
    """Simulate what ``spectrum_model`` states."""
    x = np.linspace(6555, 6564, 120)
    with jax.enable_x64(True):
        y = np.asarray(gaussian_sum(LINES, x)) + BASE[0] + BASE[1] * (x - 6559.5)
    y = 1e-17 * (y + np.random.default_rng(0).normal(scale=0.2, size=x.size))
    return x, y, 2e-18


def schools(y, sigma):
    """State the centered hierarchy of the eight schools (Rubin 1981)."""
    mu = numpyro.sample("mu", NORMAL(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", 8):
        theta = numpyro.sample("theta", NORMAL(mu, tau))
        numpyro.sample("y", NORMAL(theta, sigma), obs=y)


SCHOOLS = (
    np.array([28.0, 8, -3, 7, -1, 1, 18, 12]),
    np.array([15.0, 10, 16, 11, 9, 11, 10, 18]),
)


def many(y):
    """State 120 independent numbers."""
    with numpyro.plate("item", 120):
        value = numpyro.sample("value", NORMAL(0, 1))
        numpyro.sample("y", NORMAL(value, 1), obs=y)


def quiet(function, *args, **options):
    """Call a function, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **options)


def params_of(tree):
    """Put draws into rows of the six parameters of two Gaussians."""
    return np.stack([tree.posterior[name].values for name in SITES], -1).reshape(
        *tree.posterior["mean"].shape[:2], 6
    )


def script(name):
    """Import a script of benchmarks/."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


# starting points


@pytest.mark.parametrize("seed", range(3))
def test_starts_in_other_units(seed):
    """Three lines in angstrom, fluxes of 1e-17: the best optimum is the truth."""
    data = spectrum()
    starts = starting_points(spectrum_model, data, seed)
    for i, name in enumerate(("amplitude", "mean", "width")):
        unit = 1e-17 if name == "amplitude" else 1
        found = starts.optima.params[name][0] / unit
        np.testing.assert_allclose(found, LINES[i::3], atol=0.25)
    np.testing.assert_allclose(starts.optima.params["level"][0], 1e-17, rtol=0.3)
    assert np.all(starts.optimum == 0)
    assert np.all((starts.params["mean"] > 6555) & (starts.params["mean"] < 6564))
    assert np.all(np.diff(starts.params["mean"], axis=1) > 0)


@pytest.mark.parametrize("seed", range(5))
def test_starts_with_wide_priors_are_at_both_images(seed):
    """Two peaks of 20 and 12, twice: nothing is clipped, and neither is left out."""
    model, data, truth, _ = script("stuck").model_and_data("two peaks", 200, seed)
    starts = starting_points(model, data, seed)
    np.testing.assert_allclose(starts.optima.log_weight[:2], 0, atol=1e-3)
    assert np.all(starts.optima.log_weight[2:] < -1000)
    assert sorted(starts.optimum) == [0, 0, 1, 1]
    high = np.max(starts.params["amplitude"], axis=1)
    np.testing.assert_allclose(high, 20, atol=2)
    first = starts.params["mean"][:, 0] < 0
    assert np.all(first[starts.optimum == 0] != first[starts.optimum == 1][0])
    best = starts.optima.params["mean"][0]
    np.testing.assert_allclose(np.sort(best), truth[[1, 4]], atol=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_starts_at_equally_good_answers(seed):
    starts = starting_points(one_line, two_places(), seed)
    np.testing.assert_allclose(starts.optima.log_weight[:2], 0, atol=1e-3)
    np.testing.assert_allclose(np.sort(starts.optima.params["mean"][:2]), [-2, 2], 0.1)
    assert sorted(starts.optimum) == [0, 0, 1, 1]
    side = np.sign(starts.optima.params["mean"])[starts.optimum]
    assert np.all(np.sign(starts.params["mean"]) == side)


def test_starts_of_the_free_model_are_at_both_labelings():
    starts = starting_points(free_model, TUTORIAL, 0, num_chains=np.int64(4))
    order = starts.optima.params["mean"][:2, 0] < starts.optima.params["mean"][:2, 1]
    assert order[0] != order[1]
    assert sorted(starts.optimum) == [0, 0, 1, 1]


@pytest.mark.parametrize("n", [200, 20_000])
def test_hopeless_optima_are_told_but_not_taken(n):
    """Some searches end in the corner at the lower end of the means; no chain does."""
    profile = simulate(np.random.RandomState(0), n)
    data = compress(profile)
    told = 0
    for seed in range(12):
        starts = starting_points(ordered_model, data, seed)
        assert np.all(starts.optimum == 0)
        assert np.all(starts.params["mean"][:, 0] > -2)
        assert np.all(starts.optima.log_weight[1:] < -100)
        assert sum(starts.optima.searches) <= 16
        told += len(starts.optima.log_weight) > 1
        best = [starts.optima.params[name][0] for name in SITES]
        chi2 = chi2_numpy(np.stack(best, -1).ravel(), *profile)
        assert chi2 < chi2_numpy(TRUTH, *profile) + 10  # uniform in other coordinates
    assert told > 0


def test_starts_are_wider_than_the_posterior():
    """A Gaussian posterior: the starts' covariance is four times as large."""
    data = line_and_truth(0)[1]
    n = 4000
    starts = starting_points(line, data, 0, num_chains=n)
    mean, covariance = in_closed_form(*data)
    points = np.stack([starts.params["level"], starts.params["slope"]], axis=1)
    half = np.linalg.cholesky(4 * covariance)
    z = np.linalg.solve(half, (points - mean).T)
    for one in z:
        assert stats.kstest(one, "norm").pvalue > FALSE_ALARM
    assert abs(np.arctanh(np.corrcoef(z)[0, 1])) < stats.norm.isf(1e-6) / n**0.5
    np.testing.assert_allclose(starts.optima.covariance[0], covariance, rtol=1e-6)
    np.testing.assert_allclose(starts.optima.position[0], mean, rtol=1e-6)


def test_starts_depend_on_the_seed_alone():
    data = line_and_truth(0)[1]
    one = starting_points(line, data, 0).params["level"]
    with jax.enable_x64(True):
        same = starting_points(line, data, np.int64(0)).params["level"]
    assert one.dtype == np.float64
    np.testing.assert_array_equal(one, same)
    assert np.all(one != starting_points(line, data, 1).params["level"])


def edge(x, y):
    """State a slope whose data want more than the prior allows."""
    slope = numpyro.sample("slope", dist.Uniform(0, 1))
    numpyro.sample("y", NORMAL(slope * x, 0.1), obs=y)


def flat(x, y):
    """State a slope, and a number that the data say nothing of."""
    slope = numpyro.sample("slope", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("other", dist.Uniform(3, 5))
    numpyro.sample("y", NORMAL(slope * x, 0.1), obs=y)


def endless(x, y):
    """State a slope, and a number that nothing at all is known of."""
    slope = numpyro.sample("slope", NORMAL(0, 1))
    numpyro.sample("other", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("y", NORMAL(slope * x, 0.1), obs=y)


def test_starts_at_the_edge_of_a_prior():
    starts = starting_points(edge, (X, 1.3 * X), 0)
    assert np.all((starts.params["slope"] > 0.8) & (starts.params["slope"] < 1))
    assert starts.optima.params["slope"][0] > 0.9


def test_starts_in_a_flat_direction_and_without_a_prior():
    starts = starting_points(flat, (X, 1.3 * X), 0, num_chains=50)
    np.testing.assert_allclose(starts.optima.params["slope"], [1.3], rtol=1e-6)
    assert np.all((starts.params["other"] > 3) & (starts.params["other"] < 5))
    assert np.ptp(starts.params["other"]) > 1


def test_starts_where_nothing_holds_a_direction():
    starts = starting_points(endless, (X, 1.3 * X), 0)
    assert np.all(starts.optimum == -1)
    assert len(starts.optima.log_weight) == 0
    assert np.all(np.isfinite(starts.position))


def test_starts_of_a_hierarchy_are_from_its_prior_by_likelihood():
    """The density has no highest point there: it is infinite where tau is zero."""
    starts = starting_points(schools, SCHOOLS, 0, num_chains=200)
    assert np.all(starts.optimum == -1)
    assert starts.params["theta"].shape == (200, 8)
    assert np.quantile(starts.params["tau"], 0.1) > 0.3  # not in the neck
    y, sigma = SCHOOLS
    chi2 = np.sum(((starts.params["theta"] - y) / sigma) ** 2, axis=1)
    assert np.median(chi2) < 12  # of 8 points; 20 and more for draws of the prior


class Site(NamedTuple):
    """Arguments of a model that are not all arrays."""

    x: object
    y: object
    count: int
    missing: object


def nested(site, options):
    """State a model that takes integers, texts, None, and trees of them."""
    assert isinstance(site.count, int)
    assert site.missing is None
    assert options["kind"] == "sum"
    with numpyro.plate("parts", site.count):
        part = numpyro.sample("part", dist.Gamma(2, 1))
    share = numpyro.sample("share", dist.Dirichlet(np.ones(3)))
    total = numpyro.deterministic("total", jnp.sum(part))
    curve = total * site.x * share[0]
    numpyro.sample("y", NORMAL(curve, options["yerr"]), obs=site.y)


def test_starts_from_any_kind_of_data():
    """Big-endian arrays, integers for plates, None, texts, trees: all the same."""
    y = 2 * X + 0.1 * np.cos(9 * X)
    plain = Site(X, y, 3, None), {"kind": "sum", "yerr": 0.1}
    swapped = Site(X.astype(">f8"), y.astype(">f8"), 3, None), plain[1]
    one, same = (starting_points(nested, data, 0) for data in (plain, swapped))
    np.testing.assert_array_equal(one.position, same.position)
    assert one.params["part"].shape == (4, 3)
    assert np.all(one.params["part"] > 0)
    np.testing.assert_allclose(np.sum(one.params["share"], axis=1), 1)
    other = starting_points(nested, (Site(X, y, 2, None), plain[1]), 0)
    assert other.params["part"].shape == (4, 2)
    best = one.optima.params
    product = np.sum(best["part"][0]) * best["share"][0, 0]
    np.testing.assert_allclose(product, 2, atol=0.2)


def test_starts_of_very_many_parameters_are_from_the_prior():
    y = np.random.default_rng(0).normal(size=120)
    starts = starting_points(many, (y,), 0)
    assert np.all(starts.optimum == -1)
    assert starts.params["value"].shape == (4, 120)


def discrete(x, y):
    """State a count."""
    count = numpyro.sample("count", dist.Poisson(3))
    numpyro.sample("y", NORMAL(count * x, 1), obs=y)


def nothing(x, y):
    """State data alone."""
    numpyro.sample("y", NORMAL(x, 1), obs=y)


def of_unit(array):
    """Give an array a unit, as Astropy does."""
    kind = type("Quantity", (np.ndarray,), {"unit": "Jy"})
    return array.view(kind)


BAD = np.where(np.arange(20) == 7, np.nan, X)


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        (line, [X, X, 1.0], TypeError, "data must be the tuple .* got list"),
        (line, X, TypeError, "data must be the tuple .* got ndarray"),
        (line, (X, X), ValueError, "cannot be called with these 2 arguments.*yerr"),
        (line, (X, X[:7], 1.0), ValueError, r"3 arguments, \(20,\), \(7,\), \(\): "),
        (
            lambda x, yerr: numpyro.sample("a", dist.Normal(0, x * yerr)),
            (X, None),
            ValueError,
            r"arguments, \(20,\), None: unsupported",
        ),
        (
            lambda x, y: numpyro.sample("a", dist.Normal(y["b"], x)),
            (X, {"a": [1.0], "c": (1, 2)}),
            ValueError,
            r"arguments, \(20,\), \{a: \(1,\), c: \[1, 2\]\}: 'b'",
        ),
        (
            line,
            (X, np.ma.masked_greater(X, 1), 1.0),
            ValueError,
            "data.1. has 7 masked",
        ),
        (line, (X, of_unit(X), 1.0), ValueError, "data.1. has a unit, Jy"),
        (line, (X, X + 1j, 1.0), TypeError, "data.1. must be real numbers"),
        (line, (X, [[1.0], [1.0, 2.0]], 1.0), ValueError, "data.1. must be an array"),
        (
            line,
            (X, BAD, 1.0),
            ValueError,
            "no finite density .* array 1 .* nan at index 7",
        ),
        (line, (X, X, np.inf), ValueError, "no finite density .* array 2 .* has inf"),
        (discrete, (X, X), ValueError, "discrete latent site, count"),
        (nothing, (X, X), ValueError, "no latent site"),
    ],
)
@pytest.mark.parametrize("function", [starting_points, sample, importance])
def test_bad_models_and_data_are_named(function, model, data, error, message):
    with pytest.raises(error, match=message):
        function(model, data, 0)


@pytest.mark.parametrize("function", [starting_points, sample, importance])
def test_bad_seeds_are_named(function):
    data = line_and_truth(0)[1]
    for seed in (0.5, None, True, "0", np.random.default_rng(0)):
        with pytest.raises(TypeError, match="seed must be an integer"):
            function(line, data, seed)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        function(line, data, -1)


# NUTS: what comes back


def of_line(tree):
    """Put draws of a line into rows."""
    names = ("level", "slope")
    return np.stack([tree.posterior[name].values for name in names], axis=-1)


def assert_gaussian(draws, ess, mean, covariance):
    """Compare mean, spread and correlation of draws with those of a Gaussian."""
    sd = np.sqrt(np.diag(covariance))
    z = stats.norm.isf(FALSE_ALARM / 10)  # two sides of five numbers
    assert np.all(np.abs(draws.mean(axis=0) - mean) < z * sd / np.sqrt(ess))
    few = ess / 2  # that of squares may be lower than that of the values
    assert np.all(np.abs(draws.std(axis=0) / sd - 1) < z / np.sqrt(2 * few))
    expected = np.arctanh(covariance[0, 1] / np.prod(sd))
    found = np.arctanh(np.corrcoef(draws.T)[0, 1])
    assert abs(found - expected) < z / np.sqrt(few)


@pytest.fixture(scope="module")
def runs():
    """Draw from the posteriors of 30 lines; keep the truths, and what was said."""
    found = []
    for key in range(30):
        truth, data = line_and_truth(key)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tree = sample(line, data, key)
        found.append((truth, tree, [str(w.message) for w in caught]))
    return found


def test_posterior_of_a_line_in_closed_form(runs):
    _, tree, _ = runs[0]
    ess = min(float(one) for one in arviz.ess(tree).data_vars.values())
    draws = of_line(tree).reshape(-1, 2)
    assert_gaussian(draws, ess, *in_closed_form(*line_and_truth(0)[1]))


def test_sound_runs_are_silent(runs):
    """At most one false alarm in a hundred runs: five of 30 once in 1e5 times."""
    said = [text for _, _, texts in runs for text in texts]
    assert len(said) < 5, said


def test_truths_lie_anywhere_in_their_posteriors(runs):
    """The shares of draws below the truth are uniform, but once in 1e4 times."""
    for i in range(2):
        shares = [np.mean(of_line(tree)[..., i] < truth[i]) for truth, tree, _ in runs]
        assert stats.kstest(shares, "uniform").pvalue > 1e-4 / 2


def test_a_run_comes_as_arviz_has_it(runs):
    _, tree, _ = runs[0]
    assert set(tree.posterior.data_vars) == {"level", "slope", "end"}
    for values in tree.posterior.data_vars.values():
        assert dict(values.sizes) == {"chain": 4, "draw": 2000}
    end = tree.posterior["level"] + 2 * tree.posterior["slope"]
    np.testing.assert_allclose(tree.posterior["end"], end, rtol=1e-12)
    statistics = tree.sample_stats
    wanted = {"diverging", "energy", "n_steps", "lp", "acceptance_rate"}
    assert wanted == set(statistics.data_vars)
    for values in (*tree.posterior.data_vars.values(), statistics["lp"]):
        assert isinstance(values.data, np.ndarray)
        assert values.dtype == np.float64
    assert statistics["diverging"].dtype == bool
    assert np.all(statistics["n_steps"] > 0)
    assert np.all(statistics["energy"] + statistics["lp"] > 0)  # kinetic
    np.testing.assert_array_equal(tree.observed_data["y"], line_and_truth(0)[1][1])
    assert tree["optima"]["level"].shape == (1,)
    assert int(tree["optima"]["searches"].sum()) == 16


def test_a_run_keeps_its_log_density():
    with jax.enable_x64(True):
        tree = quiet(sample, ordered_model, TUTORIAL, 0, num_samples=20)
        for chain, draw in ((0, 0), (3, 19)):
            values = {n: tree.posterior[n].values[chain, draw] for n in SITES}
            there = unconstrain_fn(ordered_model, TUTORIAL, {}, values)
            lp = -potential_energy(ordered_model, TUTORIAL, {}, there)
            found = tree.sample_stats["lp"].values[chain, draw]
            assert found == pytest.approx(float(lp), rel=1e-9)


def test_draws_do_not_depend_on_flag_number_or_method():
    """The same bits: in float64 or not, few draws or many, one chain after another."""
    data = line_and_truth(1)[1]
    long = quiet(sample, line, data, 1, num_samples=2600)
    with jax.enable_x64(True):
        short = quiet(sample, line, data, 1, num_samples=150)
    together = quiet(sample, line, data, 1, num_samples=150, chain_method="parallel")
    np.testing.assert_array_equal(of_line(short), of_line(long)[:, :150])
    np.testing.assert_array_equal(of_line(short), of_line(together))
    for name in ("lp", "n_steps", "energy"):
        one, same = (tree.sample_stats[name].values for tree in (short, together))
        np.testing.assert_array_equal(one, same)
    other = quiet(sample, line, data, 2, num_samples=150)
    assert not np.any(of_line(short) == of_line(other))


SEVERAL = """
import jax
jax.config.update("jax_num_cpu_devices", 3)
import numpy as np
from test_inference import line, line_and_truth
from jaxbayes.inference import sample
data = line_and_truth(3)[1]
one, other = (sample(line, data, 0, num_samples=200, chain_method=method)
              for method in ("sequential", "parallel"))
assert len(jax.local_devices()) == 3
for name in one.posterior.data_vars:
    np.testing.assert_array_equal(one.posterior[name], other.posterior[name])
"""


def test_chains_run_on_several_devices():
    """In another process: the number of devices cannot change later."""
    command = [sys.executable, "-W", "ignore", "-c", SEVERAL]
    subprocess.run(command, cwd=Path(__file__).parent, check=True)


def test_vectorized_chains_have_the_same_posterior():
    data = line_and_truth(2)[1]
    tree = sample(line, data, 0, chain_method="vectorized", num_chains=3)
    assert of_line(tree).shape == (3, 2000, 2)
    assert len(np.unique(of_line(tree)[:, 0, 0])) == 3
    ess = min(float(one) for one in arviz.ess(tree).data_vars.values())
    assert_gaussian(of_line(tree).reshape(-1, 2), ess, *in_closed_form(*data))


def test_axes_are_named_where_sites_have_them():
    """Sites named as in the book's models, but single numbers; plates; event_dims."""
    single = quiet(sample, one_line, two_places(), 0, num_samples=10)
    for name in SITES:
        assert single.posterior[name].dims == ("chain", "draw")
    pairs = quiet(sample, ordered_model, TUTORIAL, 0, num_samples=10)
    for name in SITES:
        assert pairs.posterior[name].dims == ("chain", "draw", "component")
        assert pairs["optima"][name].dims == ("optimum", "component")
    data = Site(X, 2 * X, 3, None), {"kind": "sum", "yerr": 0.1}
    rest = quiet(sample, nested, data, 0, num_samples=10)
    assert rest.posterior["part"].dims == ("chain", "draw", "parts")
    assert rest.posterior["share"].shape == (4, 10, 3)
    assert rest.posterior["total"].dims == ("chain", "draw")
    np.testing.assert_allclose(rest.posterior["share"].sum("share_dim_0"), 1)


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


def test_runs_agree_with_the_reference():
    """Six keys, thirty-six means within the false-alarm rate, and not shifted.

    The six parameters of a key are correlated, so their pulls count once.
    """
    trees = [sample(ordered_model, TUTORIAL, seed) for seed in range(6)]
    found = np.array([pulls(params_of(tree)) for tree in trees])
    assert np.all(np.abs(found) < stats.norm.isf(FALSE_ALARM / 72))
    assert np.all(np.abs(found.mean(axis=0)) < stats.norm.isf(1e-6 / 12) / 6**0.5)
    spread = np.array([pulls(params_of(tree), "sd") for tree in trees])
    assert np.all(np.abs(spread) < stats.norm.isf(FALSE_ALARM / 72))


def test_a_run_in_other_units():
    """Fluxes of 1e-17 and wavelengths: the truth lies within the posterior."""
    tree = sample(spectrum_model, spectrum(), 0, num_samples=1000)
    posterior = tree.posterior
    assert posterior["mean"].dims == ("chain", "draw", "line")
    unit = {"amplitude": 1e-17, "mean": 1, "width": 1}
    values = [posterior[name].values / unit[name] for name in unit]
    draws = np.stack(values, axis=-1).reshape(-1, 9)
    base = [posterior[name].values.ravel() / 1e-17 for name in ("level", "slope")]
    draws = np.column_stack([draws, *base])
    off = np.concatenate([LINES, BASE]) - draws.mean(axis=0)
    far = off @ np.linalg.solve(np.cov(draws.T), off)
    assert far < stats.chi2(11).isf(FALSE_ALARM) * 1.5  # not quite a Gaussian


def test_a_run_of_very_many_parameters():
    y = np.random.default_rng(0).normal(size=120)
    tree = sample(many, (y,), 0, num_samples=1000, dense_mass=False)
    draws = tree.posterior["value"].values.reshape(-1, 120)
    ess = float(arviz.ess(tree)["value"].min())
    z = stats.norm.isf(FALSE_ALARM / 240)
    assert np.all(np.abs(draws.mean(axis=0) - y / 2) < z / np.sqrt(2 * ess))


# where a run begins


CORNER = {
    "amplitude": np.array([1.01, 2.8]),
    "mean": np.array([-3.99, 0.0]),
    "width": np.array([0.51, 0.9]),
}


def test_chains_begin_where_they_are_told_to():
    """One chain of four in the corner stays there, and is reported."""
    start = starting_points(ordered_model, TUTORIAL, 0).params
    for name, value in CORNER.items():
        start[name][2] = value
    with pytest.warns(RuntimeWarning, match="chain 2 at") as seen:
        tree = sample(ordered_model, TUTORIAL, 0, start=start, num_samples=50)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert "optima" not in tree.children
    x0 = tree.posterior["mean"].values[:, -1, 0]
    assert x0[2] < -3.9
    assert np.all(x0[[0, 1, 3]] > -1)


@pytest.mark.parametrize(
    ("strategy", "corner"),
    [(init_to_value(values=CORNER), True), (init_to_median, False)],
)
def test_chains_begin_by_a_strategy(strategy, corner):
    options = {"num_chains": np.int64(2), "num_samples": 20}
    tree = quiet(sample, ordered_model, TUTORIAL, 0, start=strategy, **options)
    assert np.all((tree.posterior["mean"].values[..., 0] < -3.5) == corner)


@pytest.mark.parametrize(
    ("kind", "n"), [("tutorial", 200), ("fresh", 20_000), ("two peaks", 200)]
)
def test_no_run_sticks(kind, n):
    """Run 6 keys of the script that runs 200."""
    stuck = script("stuck")
    for key in range(6):
        _, prices = stuck.run(kind, n, "starting_points", key)
        assert np.all(prices < stuck.PRICE)


def test_the_recorded_sweep_found_no_stuck_run():
    with (ROOT / "benchmarks" / "stuck.csv").open() as file:
        rows = list(csv.DictReader(file))
    ours = {(r["data"], r["n"]): r for r in rows if r["start"] == "starting_points"}
    kinds = [*itertools.product(("tutorial", "fresh"), ("20000", "200"))]
    for kind in (*kinds, ("two peaks", "200")):
        assert int(ours[kind]["runs"]) == 200
        assert int(ours[kind]["stuck_runs"]) == 0
    by_default = [r for r in rows if r["start"] == "init_to_uniform"]
    assert by_default
    assert all(int(r["stuck_runs"]) > 0 for r in by_default)


def test_recorded_posteriors_cover_the_truth():
    """Of at least 300 data sets for each way: once in 1e4 times it may seem not."""
    calibration = script("calibration")
    where, rows = calibration.read()
    assert "jax" in where
    for method in calibration.METHODS:
        mine = [row for row in rows if row["method"] == method]
        assert len({row["key"] for row in mine}) == len(mine) >= 300
        assert np.all(np.array(calibration.uniform(mine)) > 1e-4 / 6)


def test_posteriors_by_importance_cover_the_truth():
    """Forty data sets of two Gaussians, as the script has 300 of them."""
    calibration = script("calibration")
    keys = range(1000, 1040)
    rows = [calibration.run("importance", key, num_samples=500) for key in keys]
    assert np.all(np.array(calibration.uniform(rows)) > 1e-4 / 6)


# what a run says of itself


def fake(draws, *, diverging=0, n_steps=7, name="x"):
    """Make a tree of draws of shape ``(chains, n)``, the first or those diverging."""
    count = np.arange(draws.size).reshape(draws.shape)
    flags = diverging if np.ndim(diverging) else count < diverging
    groups = {
        "posterior": {name: draws[..., None]},
        "sample_stats": {
            "diverging": flags,
            "n_steps": np.full(draws.shape, n_steps),
            "lp": -(draws**2) / 2,
        },
    }
    tree = arviz.from_dict(groups)
    tree.attrs["latent"] = [name]
    return tree


NOISE = np.random.default_rng(0).normal(size=(4, 1000))
APART = NOISE + np.array([0, 9, 0, 0])[:, None]
SHIFTED = NOISE + np.array([0.4, 0, 0, 0])[:, None]
CUT = np.abs(NOISE)
PILED = np.random.default_rng(0).exponential(size=(4, 1000))
ENDS = {"x": np.array([[0.0], [100.0]])}
FEW, WRONG, LOOK = _complaints.FEW, _complaints.WRONG, _complaints.LOOK


@pytest.mark.parametrize(
    ("draws", "options", "grades", "pattern"),
    [
        (NOISE, {}, [], ""),
        (NOISE, {"diverging": 4}, [], ""),
        (NOISE, {"diverging": 5}, [LOOK], "5 of 4000 transitions diverged"),
        (NOISE, {"n_steps": 1023}, [LOOK], "100 % of the trajectories are 1023"),
        (
            NOISE[:, :40],
            {},
            [FEW],
            r"bulk ESS is .* for x.0., below 400 \(draw .* times",
        ),
        (NOISE[:3, :3], {}, [FEW], "fewer than 4"),
        (NOISE[:1], {}, [LOOK], "one chain alone cannot be compared"),
        (SHIFTED, {}, [FEW], "R-hat is 1.0.* for x.0., above 1.01"),
        (APART, {}, [WRONG], r"x.0.: chain 0 at .* chain 1 at 9.*log density"),
        (APART, {"diverging": 50}, [WRONG, LOOK], "chains disagree"),
        (0 * NOISE, {}, [WRONG], "chain 0 never moved, .* chain 3 never moved"),
        (np.append(0 * NOISE[:1], NOISE[1:], 0), {}, [WRONG], ": chain 0 never moved$"),
        (CUT, {"bounds": ENDS}, [], ""),  # the data want just the end
        (PILED, {"bounds": ENDS}, [LOOK], "draws of x.0. pile up at an end .*, 0 "),
        (100 - PILED, {"bounds": ENDS}, [LOOK], "an end of its prior, 100 "),
        (NOISE, {"chi2": {"y": (140.0, 100)}}, [], ""),  # p = 0.005
        (NOISE, {"chi2": {"y": (190.0, 100)}}, [LOOK], "y is 190 .* for 100 points"),
    ],
)
def test_what_is_complained_of(draws, options, grades, pattern):
    options = dict(options)
    chi2, bounds = options.pop("chi2", {}), options.pop("bounds", {})
    found = _complaints.of_chains(fake(draws, **options), chi2, bounds)
    assert [text.partition(":")[0] for text in found] == grades
    if grades:
        assert re.search(pattern, found[0])
    if WRONG in grades:  # no more draws are asked for in the same breath
        assert "times as many" not in " ".join(found)


def test_divergences_are_placed():
    (text,) = _complaints.of_chains(fake(NOISE, diverging=NOISE < -2), {}, {})
    assert "mostly where x[0] is low" in text


def test_chains_in_two_places_are_reported():
    with pytest.warns(RuntimeWarning, match="chains disagree") as seen:
        sample(one_line, two_places(), 0)
    (text,) = (str(one.message) for one in seen)
    assert text.startswith(WRONG)
    assert "times as many" not in text
    for chain in range(4):
        assert re.search(rf"chain {chain} at -?[12]\.?\d* \(log density", text)


def test_few_draws_are_reported_with_how_many_are_missing():
    data = line_and_truth(0)[1]
    with pytest.warns(RuntimeWarning, match=f"{FEW}: bulk ESS is .* times as many"):
        sample(line, data, 0, num_samples=40)


def test_one_chain_is_told_that_it_cannot_be_compared():
    data = line_and_truth(0)[1]
    with pytest.warns(RuntimeWarning) as seen:
        tree = sample(line, data, 0, num_chains=1)
    (text,) = (str(one.message) for one in seen)
    assert text == f"{LOOK}: one chain alone cannot be compared (run several)"
    assert of_line(tree).shape == (1, 2000, 2)


def test_a_hierarchy_says_that_it_diverges():
    """Where, depends on how far the chains go into the neck."""
    for seed in range(2):
        with pytest.warns(RuntimeWarning) as seen:
            tree = sample(schools, SCHOOLS, seed, target_accept=0.7)
        (text,) = (str(one.message) for one in seen)
        assert re.search(r"\d+ of 8000 transitions diverged, mostly where \S+ is", text)
        assert np.all(np.isfinite(tree.posterior["theta"]))
        assert "optima" not in tree.children


def test_priors_that_exclude_the_answer_are_reported():
    data = compress(simulate(1, 300, params=[8, -0.5, 0.6, 5, 0.6, 0.9]))
    with pytest.warns(
        RuntimeWarning, match="pile up at an end of its prior, 3 "
    ) as seen:
        sample(ordered_model, data, 0)
    assert re.search(r"chi squared of y is \d+ at the best draw", str(seen[0].message))


def test_error_bars_too_small_are_reported():
    x, y, yerr = line_and_truth(0)[1]
    with pytest.warns(
        RuntimeWarning, match=f"{LOOK}: chi squared of y is .* 20 points"
    ):
        sample(line, (x, y, yerr / 3), 0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_chains": 0}, ValueError, "num_chains must be at least 1, got 0"),
        ({"num_chains": 4.0}, TypeError, "num_chains must be an integer, got float"),
        ({"num_warmup": -1}, ValueError, "num_warmup must be at least 0, got -1"),
        ({"num_samples": 0}, ValueError, "num_samples must be at least 1, got 0"),
        ({"target_accept": 1}, ValueError, "target_accept must be between 0 and 1"),
        ({"chain_method": "fast"}, ValueError, "chain_method must be one of .* 'fast'"),
        ({"start": "median"}, ValueError, "start must be a dictionary or a strategy"),
        ({"start": {}}, ValueError, r"start must have the shapes .* got \{\}"),
        ({"start": CORNER}, ValueError, r"\(4, 2\).* got .*\(2,\)"),
        ({"start": "outside"}, ValueError, "start must lie within the prior of width"),
        ({"start": "unordered"}, ValueError, "start must lie within the prior of mean"),
        ({"start": "nan"}, ValueError, "start must lie within the prior of amplitude"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    start = options.get("start")
    if isinstance(start, str) and start != "median":
        good = starting_points(ordered_model, TUTORIAL, 0).params
        starts = {
            "outside": good | {"width": good["width"] + 1},
            "unordered": good | {"mean": good["mean"][:, ::-1]},
            "nan": good | {"amplitude": good["amplitude"] * np.nan},
        }
        options = options | {"start": starts[start]}
    with pytest.raises(error, match=message):
        sample(ordered_model, TUTORIAL, 0, **options)


# runs that survive


SCRIPT = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import test_inference as t
    data, options = t.line_and_truth(3)[1], t.LONG
    t.quiet(t.sample, t.line, data, 3, checkpoint=sys.argv[2], **options)
"""
LONG = {"num_samples": 1200, "num_chains": 3}


def assert_same(tree, other):
    """Compare two runs bit for bit."""
    for group in ("posterior", "sample_stats"):
        for name, values in tree[group].data_vars.items():
            np.testing.assert_array_equal(values, other[group][name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make a run without interruption; return it, its folder, and its files in turn."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    tree = quiet(sample, line, line_and_truth(3)[1], 3, checkpoint=folder, **LONG)
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return tree, folder, files


def test_a_killed_run_goes_on_to_the_same_draws(whole, tmp_path):
    """Kill two processes with SIGKILL, one after the other, and finish in a third."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(ROOT / "tests")]
    for name in ("settings.json", "chain1-4.npz"):
        process = subprocess.Popen([*command, str(folder)], stderr=subprocess.PIPE)
        while not (folder / name).exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        _, text = process.communicate()
        assert process.returncode == -signal.SIGKILL, text
    assert not (folder / "chain2-12.npz").exists()
    data = line_and_truth(3)[1]
    assert_same(quiet(sample, line, data, 3, checkpoint=folder, **LONG), whole[0])


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 9, 15, 16, 30, -1])
def test_a_run_goes_on_from_any_moment(whole, tmp_path, kept):
    """Keep the first files alone, as a kill does, and half of another one."""
    tree, _, files = whole
    folder = tmp_path / "run"
    folder.mkdir()
    for file in files[:kept]:
        shutil.copy(file, folder)
    half = files[kept].read_bytes()[:100]
    (folder / f".{files[kept].name}.123").write_bytes(half)
    data = line_and_truth(3)[1]
    assert_same(quiet(sample, line, data, 3, checkpoint=str(folder), **LONG), tree)


def test_a_run_without_checkpoint_is_the_same(whole):
    assert_same(quiet(sample, line, line_and_truth(3)[1], 3, **LONG), whole[0])


def test_a_finished_run_is_loaded(whole, monkeypatch):
    tree, folder, files = whole
    before = {file: file.stat().st_mtime_ns for file in files}
    for name in ("_begin_one", "_advance_one", "_search"):  # nothing is computed again
        monkeypatch.setattr(f"jaxbayes.inference.{name}", Uncallable(name))
    data = line_and_truth(3)[1]
    again = quiet(sample, line, data, 3, checkpoint=folder, **LONG)
    assert_same(again, tree)
    np.testing.assert_array_equal(again["optima"]["level"], tree["optima"]["level"])
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


class Uncallable:
    """Stand for a function that must not be called, but says what it would return."""

    def __init__(self, name):
        function = getattr(importlib.import_module("jaxbayes.inference"), name)
        self.eval_shape = getattr(function, "eval_shape", None)

    def __call__(self, *args):
        raise AssertionError("computed again")


def other_line(x, y, yerr):
    """State a line with another prior."""
    level = numpyro.sample("level", NORMAL(0, 2))
    slope = numpyro.sample("slope", NORMAL(0, 1.5))
    numpyro.sample("y", NORMAL(level + slope * x, yerr), obs=y)


START = {"level": np.zeros(3), "slope": np.zeros(3)}


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"model": other_line}, "another model"),
        ({"data": (X, 1.0001 * X, 0.5)}, "another data"),
        ({"seed": 4}, "seed=3, not 4"),
        ({"num_samples": 1300}, "num_samples=1200, not 1300"),
        ({"num_warmup": 400}, "num_warmup=500, not 400"),
        ({"num_chains": 2}, "num_chains=3, not 2"),
        ({"target_accept": 0.9}, "target_accept=0.98, not 0.9"),
        ({"dense_mass": False}, "dense_mass=True, not False"),
        ({"chain_method": "vectorized"}, "chain_method=sequential, not vectorized"),
        ({"start": START}, "another start"),
    ],
)
def test_another_run_of_the_same_name_is_refused(whole, change, differs):
    _, folder, files = whole
    arguments = {"model": line, "data": line_and_truth(3)[1], "seed": 3, **LONG}
    with pytest.raises(ValueError, match=f"holds a run with {differs}"):
        sample(**(arguments | change), checkpoint=folder)
    assert set(folder.iterdir()) == set(files)


def test_a_run_of_a_script_goes_on_in_a_notebook(whole, monkeypatch):
    """JAX prints programs in color there, and in terminals."""
    monkeypatch.setattr("jax._src.pretty_printer.CAN_USE_COLOR", True)
    assert "\033[" in str(jax.make_jaxpr(jnp.add)(1.0, 2.0))
    tree, folder, _ = whole
    data = line_and_truth(3)[1]
    assert_same(quiet(sample, line, data, 3, checkpoint=folder, **LONG), tree)


def test_starts_belong_to_a_run(tmp_path):
    data, options = line_and_truth(3)[1], LONG | {"num_samples": 100}
    keep = functools.partial(quiet, sample, line, data, 3, **options)
    tree = keep(start=START, checkpoint=tmp_path / "run")
    assert_same(tree, keep(start=START, checkpoint=tmp_path / "run"))
    other = START | {"level": np.ones(3)}
    with pytest.raises(ValueError, match="another start"):
        keep(start=other, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="another start"):
        keep(start=init_to_value(values={"level": 1.0}), checkpoint=tmp_path / "run")


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    data = line_and_truth(3)[1]
    with pytest.raises(ValueError, match=r"must name a new folder, .* other files"):
        sample(line, data, 3, checkpoint=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="must name a new folder"):
        sample(line, data, 3, checkpoint=tmp_path / "thesis.tex")


@pytest.mark.parametrize("name", ["chain1-3.npz", "start.npz", "settings.json"])
@pytest.mark.parametrize("kind", ["cut", "changed"])
def test_a_damaged_file_is_named_and_can_be_made_again(whole, tmp_path, name, kind):
    tree, folder, _ = whole
    copy = shutil.copytree(folder, tmp_path / "run")
    content = bytearray((copy / name).read_bytes())
    middle = len(content) // 2
    for i in range(middle, middle + 64):  # wider than what no checksum covers
        content[i] ^= 255
    (copy / name).write_bytes(content[:middle] if kind == "cut" else content)
    data = line_and_truth(3)[1]
    with pytest.raises(ValueError, match=r"damaged file, .*delete it|holds a run with"):
        sample(line, data, 3, checkpoint=copy, **LONG)
    if name != "settings.json":
        (copy / name).unlink()
        assert_same(quiet(sample, line, data, 3, checkpoint=copy, **LONG), tree)


def test_vectorized_runs_survive(tmp_path):
    data = line_and_truth(3)[1]
    options = LONG | {"chain_method": "vectorized"}
    tree = quiet(sample, line, data, 3, checkpoint=tmp_path / "run", **options)
    for file in (tmp_path / "run").glob("all-[5-9]*.npz"):
        file.unlink()
    again = quiet(sample, line, data, 3, checkpoint=tmp_path / "run", **options)
    assert_same(again, tree)
    assert_same(quiet(sample, line, data, 3, **options), tree)


# importance sampling


def test_draws_by_importance_of_a_line_in_closed_form():
    data = line_and_truth(5)[1]
    tree = importance(line, data, 0)
    assert of_line(tree).shape == (1, 10_000, 2)
    draws = of_line(tree)[0]
    ess = float(tree.sample_stats["ess"])
    assert ess >= 10_000
    assert_gaussian(draws, 1 / (1 / ess + 1 / 10_000), *in_closed_form(*data))
    assert float(tree.sample_stats["khat"]) < 0.7
    assert int(tree.sample_stats["num_proposals"]) < 3 * ess
    end = tree.posterior["level"] + 2 * tree.posterior["slope"]
    np.testing.assert_allclose(tree.posterior["end"], end, rtol=1e-12)
    np.testing.assert_array_equal(tree.observed_data["y"], data[1])
    assert tree.posterior["level"].dtype == np.float64
    # equally weighted draws in no order
    lag = np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]
    assert abs(lag) < stats.norm.isf(FALSE_ALARM) / 10_000**0.5


def test_draws_by_importance_have_their_log_density():
    data = line_and_truth(5)[1]
    tree = importance(line, data, 0, num_samples=100)
    mean, covariance = in_closed_form(*data)
    off = of_line(tree)[0] - mean
    far = np.sum(off * np.linalg.solve(covariance, off.T).T, axis=1)
    constant = tree.sample_stats["lp"].values[0] + far / 2
    np.testing.assert_allclose(constant, constant[0], rtol=1e-9)


def share_of_one(y):
    """State a number between two ends, seen once; its evidence is an integral."""
    a = numpyro.sample("a", dist.Uniform(1, 3))
    b = numpyro.sample("b", OrderedUniform(-4, 4))
    numpyro.sample("y", NORMAL(jnp.array([a, b[0], b[1]]), 0.3), obs=y)


def test_the_evidence_in_closed_form():
    x, y, yerr = line_and_truth(5)[1]
    design = np.stack([np.ones_like(x), x], axis=1)
    spread = design @ np.diag([4, 1]) @ design.T + yerr**2 * np.eye(len(x))
    told = importance(line, (x, y, yerr), 0).sample_stats
    exact = stats.multivariate_normal(cov=spread).logpdf(y)
    cases = [(told, exact)]
    y = np.array([1.2, -1.0, 2.0])
    told = importance(share_of_one, (y,), 0).sample_stats
    inside = np.diff(stats.norm(y[0], 0.3).cdf([1, 3]))[0]  # far from the ends of b
    cases.append((told, np.log(inside / 2 * 2 / 8**2)))
    for told, exact in cases:
        error = float(told["log_evidence_error"])
        assert 0 < error < 0.02
        off = (float(told["log_evidence"]) - exact) / error
        assert abs(off) < stats.norm.isf(FALSE_ALARM / 2)


def test_draws_by_importance_depend_on_the_seed_alone():
    data = line_and_truth(5)[1]
    one = importance(line, data, 0, num_samples=500)
    with jax.enable_x64(True):
        same = importance(line, data, 0, num_samples=500)
    np.testing.assert_array_equal(of_line(one), of_line(same))
    other = importance(line, data, 1, num_samples=500)
    assert not np.any(of_line(one) == of_line(other))


def test_draws_by_importance_agree_with_the_reference():
    """Ten keys: sixty pulls within the false-alarm rate, and not shifted."""
    found = []
    for seed in range(10):
        tree = importance(ordered_model, TUTORIAL, seed)
        assert float(tree.sample_stats["khat"]) < 0.7
        error = (1 / float(tree.sample_stats["ess"]) + 1 / 10_000) ** 0.5
        mean = params_of(tree).mean(axis=(0, 1))
        found.append(
            [
                (mean[i] - float(r["mean"]))
                / np.hypot(float(r["mcse_mean"]), float(r["sd"]) * error)
                for i, r in enumerate(reference())
            ]
        )
    assert np.all(np.abs(found) < stats.norm.isf(FALSE_ALARM / 120))
    shared = 1 + 10 * 0.1  # of the reference, the same error in all ten
    shift = np.mean(found, axis=0)
    assert np.all(
        np.abs(shift) < stats.norm.isf(FALSE_ALARM / 12) * (shared / 10) ** 0.5
    )


def test_two_answers_share_the_draws_by_importance():
    with pytest.warns(RuntimeWarning, match="2 optima share the posterior") as seen:
        tree = importance(one_line, two_places(), 0)
    assert len(seen) == 1
    right = np.sum(tree.posterior["mean"].values > 0)
    error = (1 / float(tree.sample_stats["ess"]) + 1 / 10_000) ** 0.5
    assert abs(right / 10_000 - 0.5) < stats.norm.isf(FALSE_ALARM / 2) * 0.5 * error
    np.testing.assert_allclose(tree["optima"]["log_weight"][:2], 0, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_both_labelings_are_in_the_draws_by_importance(seed):
    """Two narrow modes far apart, each of which needs its own part of the mixture."""
    with pytest.warns(RuntimeWarning, match="^look before use: 2 optima") as seen:
        tree = importance(free_model, compress(simulate(seed)), seed)
    assert len(seen) == 1
    told = tree.sample_stats
    assert float(told["ess"] / told["num_proposals"]) > 0.1
    mean = tree.posterior["mean"].values[0]
    left = np.mean(mean[:, 0] < mean[:, 1])
    error = (1 / float(told["ess"]) + 1 / 10_000) ** 0.5
    assert abs(left - 0.5) < stats.norm.isf(FALSE_ALARM / 6) * 0.5 * error


def funnel(y):
    """State a funnel (Neal 2003), whose highest point is in its neck."""
    scale = numpyro.sample("scale", NORMAL(0, 3))
    with numpyro.plate("item", 5):
        value = numpyro.sample("value", NORMAL(0, jnp.exp(scale / 2)))
        numpyro.sample("y", NORMAL(value, 0.5), obs=y)


def test_uneven_weights_are_reported():
    y = np.random.default_rng(0).normal(size=5)
    with pytest.warns(RuntimeWarning, match=r"k-hat is .*, above 0.7 .* with sample"):
        tree = importance(funnel, (y,), 0, num_samples=1000)
    assert float(tree.sample_stats["khat"]) > 0.7


def test_what_importance_cannot_do_is_refused():
    y = np.random.default_rng(0).normal(size=120)
    with pytest.raises(ValueError, match="more than 100 parameters: draw with sample"):
        importance(many, (y,), 0)
    with pytest.raises(ValueError, match=r"no optimum .* draw with sample"):
        importance(schools, SCHOOLS, 0)
    with pytest.raises(ValueError, match="num_samples must be at least 100, got 99"):
        importance(line, line_and_truth(5)[1], 0, num_samples=99)
