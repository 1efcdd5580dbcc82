"""The data set: the tutorial's own numbers, its noise, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from jaxbayes.data import TRUTH, Profile, check_profile, simulate
from jaxbayes.fitting import chi2_numpy
from jaxbayes.models import double_gaussian_numpy

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right


def tutorial():
    """Simulate the tutorial's profile by its own recipe, in single precision."""
    x = jnp.linspace(-5, 5, 20_000)
    first = 2.0 * jnp.exp(-((x + 0.5) ** 2) / (2 * 0.6**2))
    second = 1.5 * jnp.exp(-((x - 0.6) ** 2) / (2 * 0.9**2))
    noise = np.random.RandomState(0).normal(scale=0.3, size=20_000)
    return np.asarray(x), np.asarray(first + second) + noise


def test_legacy_seed_gives_the_data_of_the_tutorial():
    profile = simulate(np.random.RandomState(0))
    x, y = tutorial()
    assert x.dtype == np.float32  # the difference below is its rounding
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(profile.x, x, rtol=0, atol=5 * eps)
    np.testing.assert_allclose(profile.y, y, rtol=0, atol=20 * eps)
    np.testing.assert_array_equal(profile.yerr, 0.3)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (TRUTH, 19618.8611),
        ([1.98666, -0.48328, 0.60920, 1.45744, 0.60358, 0.91933], 19604.3688),
    ],
    ids=["truth", "optimum"],
)
def test_chi2_of_the_tutorial(params, expected):
    x, y = tutorial()
    profile = simulate(np.random.RandomState(0))
    assert chi2_numpy(params, *profile) == pytest.approx(expected, abs=1e-4)
    assert chi2_numpy(params, x.astype(float), y, 0.3) == pytest.approx(
        expected, abs=1e-3
    )


def test_same_seed_same_data_and_other_seed_other_data():
    one, again, other = simulate(1, 50), simulate(1, 50), simulate(2, 50)
    np.testing.assert_array_equal(one, again)
    assert np.all(one.y != other.y)
    np.testing.assert_array_equal(one.x, other.x)


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_generator_is_used_and_advanced(kind):
    rng, twin = kind(1), kind(1)
    curve = double_gaussian_numpy(TRUTH, np.linspace(-5, 5, 50))
    for _ in range(2):
        expected = curve + twin.normal(scale=0.3, size=50)
        np.testing.assert_array_equal(simulate(rng, 50).y, expected)


def test_integer_seeds_a_generator():
    np.testing.assert_array_equal(
        simulate(1, 50), simulate(np.random.default_rng(1), 50)
    )


@pytest.mark.parametrize("noise", [0.3, 50])
def test_noise_is_normal_of_the_stated_width(noise):
    profile = simulate(0, 5000, noise=noise)
    residual = (profile.y - double_gaussian_numpy(TRUTH, profile.x)) / noise
    tail = FALSE_ALARM / 2
    low, high = stats.chi2(5000).ppf([tail, 1 - tail])
    assert low < np.sum(residual**2) < high
    assert stats.kstest(residual, "norm").pvalue > FALSE_ALARM
    np.testing.assert_array_equal(profile.yerr, noise)


@pytest.mark.parametrize("kind", [list, tuple, np.array, jnp.asarray])
def test_params_set_the_curve(kind):
    params = kind([1.0, 1.0, 0.5, -3.0, -2.0, 0.25])  # exact in float32
    profile = simulate(0, 11, params=params, noise=1e-12)
    assert [values.dtype for values in profile] == [np.float64] * 3
    np.testing.assert_allclose(profile.x, np.arange(-5, 6), atol=1e-15)
    assert profile.y[6] == pytest.approx(1.0)  # at x1, four widths from the other
    assert profile.y[3] == pytest.approx(-3.0)
    assert profile.y[7] == pytest.approx(np.exp(-2.0))  # two widths from x0


@pytest.mark.parametrize("n", [2, np.int32(7)])
def test_n_points_span_the_interval(n):
    profile = simulate(0, n)
    assert [values.shape for values in profile] == [(n,)] * 3
    assert (profile.x[0], profile.x[-1]) == (-5, 5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 1}, ValueError, "n must be at least 2, got 1"),
        ({"n": -5}, ValueError, "n must be at least 2, got -5"),
        ({"n": 10.0}, TypeError, "n must be an integer, got float"),
        ({"n": "10"}, TypeError, "n must be an integer, got str"),
        ({"params": TRUTH[:5]}, ValueError, "params must be 6 finite values"),
        ({"params": [TRUTH]}, ValueError, "params must be 6 finite values"),
        ({"params": [2, 0, 1, 2, np.nan, 1]}, ValueError, "params must be 6 finite"),
        ({"params": [2, 0, np.inf, 2, 0, 1]}, ValueError, "params must be 6 finite"),
        ({"params": [2, 0, 0, 2, 0, 1]}, ValueError, "positive widths s0 and s1"),
        ({"params": [2, 0, 1, 2, 0, -1]}, ValueError, "positive widths s0 and s1"),
        ({"noise": 0}, ValueError, "noise must be a positive number, got 0"),
        ({"noise": -0.3}, ValueError, "noise must be a positive number, got -0.3"),
        ({"noise": np.nan}, ValueError, "noise must be a positive number, got nan"),
        ({"noise": np.inf}, ValueError, "noise must be a positive number, got inf"),
        ({"noise": [0.3]}, ValueError, "noise must be a positive number"),
        ({"seed": None}, TypeError, "seed must be an integer or a generator"),
        ({"seed": 1.5}, TypeError, None),  # in NumPy's words
        ({"seed": "one"}, TypeError, None),
    ],
)
def test_simulate_refuses(options, error, message):
    with pytest.raises(error, match=message):
        simulate(**({"seed": 0, "n": 10} | options))


def test_profile_serves_as_arguments_of_scipy():
    profile = simulate(0, 50)
    found = minimize(chi2_numpy, TRUTH, args=profile, options={"maxiter": 3})
    assert found.fun < chi2_numpy(TRUTH, profile.x, profile.y, profile.yerr)


class Column(np.ndarray):
    """An array with a unit or without, as of Astropy."""

    def __new__(cls, values, unit):
        column = np.asarray(values).view(cls)
        column.unit = unit
        return column


@pytest.mark.parametrize(
    "kind",
    [
        list,
        np.asarray,
        jnp.asarray,
        lambda values: np.asarray(values, dtype=np.float32),
        lambda values: np.asarray(values, dtype=int),
        lambda values: np.asarray(values, dtype=">f4"),
        lambda values: np.ma.array(values),
        lambda values: np.ma.array(values, mask=[False] * 3),
        lambda values: Column(values, None),
    ],
    ids=["list", "numpy", "jax", "float32", "int", "FITS", "ma", "no mask", "column"],
)
def test_check_profile_returns_float64(kind):
    checked = check_profile((kind([0, 1, 2]), kind([5, 4, 3]), kind([1, 1, 2])))
    assert isinstance(checked, Profile)
    assert all(type(values) is np.ndarray for values in checked)
    assert [values.dtype for values in checked] == [np.float64] * 3
    np.testing.assert_array_equal(checked, [[0, 1, 2], [5, 4, 3], [1, 1, 2]])


@pytest.mark.parametrize("order", [[2, 1, 0], [1, 2, 0]], ids=["falling", "mixed"])
def test_points_may_come_in_any_order(order):
    x = np.arange(3.0)[order]
    np.testing.assert_array_equal(check_profile((x, x + 3, 1)), [x, x + 3, np.ones(3)])


@pytest.mark.parametrize("where", [0, 1, 2])
def test_masked_points_are_refused_by_name_with_what_to_do(where):
    name = Profile._fields[where]
    flagged = [np.ma.array([1.0, 2.0, 3.0]) for _ in range(3)]
    flagged[where][1] = np.ma.masked
    idiom = rf"keep = ~{name}\.mask and x\[keep\], y\[keep\], yerr\[keep\]"
    message = f"^{name} must have no masked points, got 1: .*{idiom}$"
    with pytest.raises(ValueError, match=message):
        check_profile(flagged)
    keep = ~flagged[where].mask
    checked = check_profile([values[keep] for values in flagged])
    np.testing.assert_array_equal(checked, np.tile([1.0, 3.0], (3, 1)))


@pytest.mark.parametrize("where", [0, 1, 2])
def test_units_are_refused_by_name_with_what_to_do(where):
    given = [np.ones(3)] * 3
    given[where] = Column([1.0, 2.0, 3.0], "Jy")
    message = r"must be plain numbers, got the unit Jy: pass \.value, .* in one unit"
    with pytest.raises(ValueError, match=f"^{Profile._fields[where]} {message}"):
        check_profile(given)


@pytest.mark.parametrize("yerr", [2, 0.5, np.float32(0.5), jnp.array(0.5)])
def test_one_error_bar_serves_all_points(yerr):
    checked = check_profile(([0, 1, 2], [5, 4, 3], yerr))
    np.testing.assert_array_equal(checked.yerr, np.full(3, float(yerr)))


def test_check_profile_leaves_the_input_alone():
    given = [np.array([0.0, 1.0]), np.array([3.0, 4.0]), np.array([0.5, 0.5])]
    checked = check_profile(given)
    for values in checked:
        values[:] = -1.0
    np.testing.assert_array_equal(given, [[0, 1], [3, 4], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (([0, 1], [3, 4]), r"profile must be \(x, y, yerr\), got 2 entries"),
        (([0, 1], [3, 4], 1, 1), r"profile must be \(x, y, yerr\), got 4 entries"),
        ((0, 3, 1), r"x must have shape \(N,\) with N > 0, got \(\)"),
        (([], [], []), r"x must have shape \(N,\) with N > 0, got \(0,\)"),
        (([[0, 1]], [[3, 4]], 1), r"x must have shape .* got \(1, 2\)"),
        (([0, 1], [3, 4, 5], 1), r"y must have the shape of x, \(2,\), got \(3,\)"),
        (([0, 1], [[3], [4]], 1), r"y must have the shape of x"),
        (([0, 1], 3, 1), r"y must have the shape of x"),
        (([0, 1], [3, 4], [1, 1, 1]), r"yerr must be one number or of shape \(2,\)"),
        (([0, 1], [3, 4], [1]), r"yerr must be one number or of shape \(2,\)"),
        (([0, 1], [3, 4], None), "yerr must hold the error bars, got None: pass the"),
        (([0, 1], None, 1), r"y must have shape \(N,\), got None"),
        (([0, 1j], [3, 4], 1), "x must be real, got complex values"),
        (([0, 1], np.array([3, 4j]), 1), "y must be real, got complex values"),
        (([0, 1], jnp.array([3, 4]), 1j), "yerr must be real, got complex values"),
        (([0, np.nan], [3, 4], 1), "x must be finite, got nan at index 1"),
        (([0, 1], [np.inf, 4], 1), "y must be finite, got inf at index 0"),
        (([0, 1], [3, 4], [1, np.nan]), "yerr must be finite, got nan at index 1"),
        (
            ([0, 1], [3, 4], np.inf),
            r"yerr must be finite, got inf at index 0: .* keep = np.isfinite\(yerr\)",
        ),
        (([0, 1], ["3", "n/a"], 1), "y must be an array of numbers: .*n/a"),
        (([0, 1], [[3], [4, 5]], 1), "y must be an array of numbers"),
        ((np.arange(2).astype("M8[D]"), [3, 4], 1), "x must be plain numbers, got da"),
        (([0, 1], np.ones(2, "f8,f8"), 1), "y must be plain numbers, .* one column"),
        (([0, 1], [3, 4], [1, 0]), "yerr must be positive .* got 0.0 at index 1"),
        (([0, 1], [3, 4], -0.5), "yerr must be positive .* got -0.5 at index 0"),
    ],
)
def test_check_profile_names_what_is_wrong(profile, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_profile(profile)
