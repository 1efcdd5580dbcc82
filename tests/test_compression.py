"""Compressed profiles against direct sums, Gauss's rules and the full chi squared."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre
from scipy import stats

from jaxbayes import compression
from jaxbayes.compression import Moments, compress, compression_error, moments
from jaxbayes.data import TRUTH, Profile, simulate
from jaxbayes.fitting import chi2_numpy, fit
from jaxbayes.models import double_gaussian, double_gaussian_numpy

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
LOW, HIGH = np.array([1, -4, 0.5] * 2), np.array([3, 4, 1.5] * 2)  # of the priors
DRAWS = np.random.default_rng(5).uniform(LOW, HIGH, (60, 6))
BOOK = simulate(np.random.RandomState(0))


def measured(x, yerr, seed=0):
    """Measure the double Gaussian at given points with given errors."""
    yerr = np.broadcast_to(yerr, x.shape)
    noise = yerr * np.random.default_rng(seed).normal(size=x.size)
    return Profile(x, double_gaussian_numpy(TRUTH, x) + noise, yerr)


def uneven(n, seed=0):
    """Draw points that crowd in the middle, with errors over three decades."""
    rng = np.random.default_rng(seed)
    x = 5 * np.sin(rng.uniform(-0.5 * np.pi, 0.5 * np.pi, n)) ** 3
    return measured(x, 10 ** rng.uniform(-2, 1, n))


def take(profile, index):
    """Choose points of a profile."""
    return Profile(*(values[index] for values in profile))


def scaled(profile, interval=None):
    """Map x to [-1, 1]."""
    low, high = interval or (profile.x.min(), profile.x.max())
    return (2 * profile.x - low - high) / (high - low)


def changes(profile, small, draws=DRAWS):
    """Compare chi squared of two profiles in plain NumPy."""
    change = [chi2_numpy(p, *profile) - chi2_numpy(p, *small) for p in draws]
    return np.ptp(change)


def line_at(width):
    """Make a model of one line, with an amplitude, a mean and a factor of width."""

    def narrow(params, x):
        height, mean, factor = params
        return height * jnp.exp(-0.5 * ((x - mean) / (factor * width)) ** 2)

    return narrow


# moments


@pytest.mark.parametrize(
    ("n", "size"),
    [(1, 1), (2, 5), (999, 3), (6000, 16), (6001, 64), (310_000, 7), (2000, 200)],
)
def test_moments_match_direct_sums(n, size):
    profile, interval = uneven(n), (-5.5, 6.0)
    sums = moments(profile, size, interval)
    x, y, yerr = (values.astype(np.longdouble) for values in profile)
    t, w = (2 * x - interval[0] - interval[1]) / (interval[1] - interval[0]), yerr**-2
    before, now = np.ones_like(t), t
    weight, data = [], []
    for _ in range(2 * size):
        weight.append(np.sum(w * before))
        data.append(np.sum(w * y * before))
        before, now = now, 2 * t * now - before
    scale = 1e-16 * size**1.5 + 1e-15
    np.testing.assert_allclose(sums.weight, weight, atol=scale * float(weight[0]))
    most = float(np.sum(w * abs(y)))
    np.testing.assert_allclose(sums.data, data[:size], atol=scale * most)
    assert sums.square == pytest.approx(float(np.sum(w * y**2)), rel=1e-14)
    assert (sums.count, sums.interval) == (n, interval)


def test_moments_of_parts_add_up():
    interval = (-5, 5)
    whole = moments(uneven(10_000), 64, interval)
    parts = np.array_split(np.arange(10_000), 7)
    added = sum(moments(take(uneven(10_000), part), 64, interval) for part in parts)
    np.testing.assert_allclose(added.weight, whole.weight, atol=1e-14 * whole.weight[0])
    most = np.sqrt(whole.weight[0] * whole.square)
    np.testing.assert_allclose(added.data, whole.data, atol=1e-14 * most)
    assert added.square == pytest.approx(whole.square, rel=1e-14)
    assert added.count == 10_000


def test_moments_do_not_depend_on_the_number_of_threads(monkeypatch):
    profile = uneven(2 * compression._CHUNK + 17)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(compression, "cores", lambda n=threads: n)
        found.append(moments(profile, 20))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_moments_need_no_memory_for_the_points():
    profile = BOOK._replace(x=np.tile(BOOK.x, 100), y=np.tile(BOOK.y, 100), yerr=0.3)
    moments(BOOK)  # what is imported and made once
    tracemalloc.start()
    moments(profile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_thread = 4 * 8 * compression._BLOCK * (17 + 9 + 12)  # with room for copies
    assert peak < compression.cores() * one_thread
    if compression.cores() <= 2:
        assert peak < profile.x.nbytes


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (moments(BOOK, 8, (-5, 6)), "must share an interval"),
        (moments(BOOK, 9, (-5, 5)), "must share a size"),
    ],
)
def test_moments_that_do_not_fit_are_not_added(other, message):
    with pytest.raises(ValueError, match=message):
        moments(BOOK, 8, (-5, 5)) + other


def test_moments_add_to_nothing_else():
    sums = moments(BOOK, 8)
    for other in (1, (), tuple(sums)):
        with pytest.raises(TypeError):
            sums + other
    with pytest.raises(TypeError):
        1 + sums


# nodes, weights and values


def test_the_nodes_of_many_legendre_nodes_are_legendre_nodes():
    x, w = legendre.leggauss(200)
    small = compress((x, np.cos(x), w**-0.5), 20, (-1, 1))
    nodes, weights = legendre.leggauss(20)
    np.testing.assert_allclose(small.x, nodes, atol=1e-13)
    np.testing.assert_allclose(small.yerr**-2, weights, rtol=1e-12)
    np.testing.assert_allclose(small.y, np.cos(nodes), atol=1e-13)


@pytest.mark.parametrize("n", [70, 300, 40_000])
@pytest.mark.parametrize("size", [1, 2, 33, 64])
def test_polynomials_are_summed_exactly(n, size):
    profile = uneven(n)
    interval = profile.x.min(), profile.x.max()
    small = compress(profile, size)
    assert small.x.shape == (size,)
    t, few = scaled(profile), scaled(small, interval)
    w, weights = profile.yerr**-2, small.yerr**-2
    assert np.sum(weights) == pytest.approx(np.sum(w), rel=1e-12)
    every = chebyshev.chebvander(t, 2 * size - 1)
    ours = chebyshev.chebvander(few, 2 * size - 1)
    np.testing.assert_allclose(weights @ ours, w @ every, atol=1e-10 * np.sum(w))
    np.testing.assert_allclose(
        (weights * small.y) @ ours[:, :size],
        (w * profile.y) @ every[:, :size],
        atol=1e-10 * np.sum(w * abs(profile.y)),
    )
    if n > 1000:  # and no further: the next one is not
        next_one = [
            np.sum(v * np.cos(2 * size * np.arccos(np.clip(at, -1, 1))))
            for v, at in ((w, t), (weights, few))
        ]
        assert abs(np.diff(next_one)) > 1e-9 * np.sum(w)


def test_values_are_those_of_the_best_polynomial():
    profile = uneven(500)
    small = compress(profile, 12)
    root = 1 / profile.yerr
    basis = chebyshev.chebvander(scaled(profile), 11)
    best = np.linalg.lstsq(basis * root[:, None], profile.y * root)[0]
    at = scaled(small, (profile.x.min(), profile.x.max()))
    np.testing.assert_allclose(small.y, chebyshev.chebval(at, best), rtol=1e-10)


def test_two_points_carry_a_straight_line():
    x, y, yerr = uneven(300)
    few = compress((x, y, yerr), 2)
    full_fit = np.polyfit(x, y, 1, w=1 / yerr, cov="unscaled")
    few_fit = np.polyfit(few.x, few.y, 1, w=1 / few.yerr)
    root = np.stack([few.x, np.ones(2)]) / few.yerr
    np.testing.assert_allclose(few_fit, full_fit[0], rtol=1e-11)
    np.testing.assert_allclose(np.linalg.inv(root @ root.T), full_fit[1], rtol=1e-11)


def test_the_order_of_the_points_does_not_matter():
    profile = uneven(5000)
    small = compress(profile)
    for index in (np.arange(5000)[::-1], np.random.default_rng(0).permutation(5000)):
        other = compress(take(profile, index))
        np.testing.assert_allclose(other.x, small.x, atol=1e-11)
        np.testing.assert_allclose(other.yerr, small.yerr, rtol=1e-9)
        assert changes(profile, other) < 1e-5


def test_compressed_parts_compress_to_the_whole():
    parts = [take(BOOK, slice(i, None, 2)) for i in (0, 1)]
    both = Profile(*np.concatenate([compress(part) for part in parts], axis=1))
    again = compress(both, interval=(-5, 5))
    small = compress(BOOK)
    np.testing.assert_allclose(again.x, small.x, atol=1e-11)
    np.testing.assert_allclose(again.yerr, small.yerr, rtol=1e-9)
    np.testing.assert_allclose(again.y, small.y, atol=1e-9)


def test_few_points_come_back_as_they_are():
    profile = take(uneven(64), np.arange(64)[::-1])
    small = compress(profile)
    for ours, theirs in zip(small, profile, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == float
        assert not np.shares_memory(ours, theirs)
    assert compress(([0, 1], [3, 4], 1)).yerr.tolist() == [1.0, 1.0]


# chi squared


@pytest.mark.parametrize("n", [20_000, 1_000_000])
def test_chi2_changes_by_a_constant_over_the_whole_prior(n):
    profile = simulate(np.random.RandomState(0), n)
    small = compress(profile, model=double_gaussian, bounds=(LOW, HIGH), tolerance=1e-5)
    assert small.x.shape == (64,)


def test_error_is_that_of_numpy():
    profile = uneven(2000)
    for size in (16, 24):
        small = compress(profile, size)
        error = compression_error(profile, small, double_gaussian, DRAWS)
        assert error == pytest.approx(changes(profile, small), rel=1e-6)
        assert error > 1


def test_error_falls_with_size():
    errors = [changes(BOOK, compress(BOOK, size)) for size in (16, 32, 48, 64)]
    assert np.all(np.diff(np.log(errors)) < -3)


def layouts():
    """Name places to measure that are not a plain grid, and how many remain."""
    rng = np.random.default_rng(1)
    flat = rng.uniform(-5, 5, 20_000)
    grid = np.linspace(-5, 5, 20_000)
    return {
        "one more than size": (np.linspace(-5, 5, 65), 64),
        "few more, random": (flat[:80], 64),
        "twice size": (np.linspace(-5, 5, 128), 64),
        "random": (flat, 64),
        "gap": (flat[abs(flat) > 1], 64),
        "wide gap": (flat[abs(flat) > 3], 64),
        "two clumps": (np.concatenate([grid / 1e4 - 4, grid / 1e4 + 4]), None),
        "clustered": (np.clip(rng.normal(size=20_000), -5, 5), 64),
        "a far point": (np.append(flat / 10, 5.0), 64),
        "ends": (np.concatenate([flat, np.full(500, -5.0), np.full(500, 5.0)]), 64),
        "descending": (grid[::-1], 64),
        "shuffled": (rng.permutation(grid), 64),
        "repeated": (np.repeat(np.linspace(-5, 5, 100), 50), 64),
        "few different": (np.repeat(np.linspace(-5, 5, 30), 50), 30),
        "nearly size different": (np.repeat(np.sort(flat[:63]), 9), 63),
        "nearly repeated": (np.repeat(flat[:100], 50) + rng.normal(0, 1e-9, 5000), 64),
        "two different": (np.repeat([-1.0, 1.0], 50), 2),
        "all the same": (np.full(100, 0.7), 1),
    }


@pytest.mark.parametrize("unequal", [False, True], ids=["equal", "unequal"])
@pytest.mark.parametrize("name", layouts())
def test_any_layout_of_points_is_compressed(name, unequal):
    x, expected = layouts()[name]
    rng = np.random.default_rng(2)
    profile = measured(x, 10 ** rng.uniform(-1.5, 1.5, x.size) if unequal else 0.3)
    small = compress(profile)
    assert np.all(np.isfinite(small))
    assert np.all(small.yerr > 0)
    assert np.all(np.diff(small.x) > 0)
    assert x.min() - 1e-9 <= small.x[0]
    assert small.x[-1] <= x.max() + 1e-9
    if expected is not None:
        assert small.x.size == expected
    weight = np.sum(profile.yerr**-2)
    assert np.sum(small.yerr**-2) == pytest.approx(weight, rel=1e-9)
    assert changes(profile, small) < 1e-11 * weight + 1e-5


@pytest.mark.parametrize("name", layouts())
def test_moments_alone_are_never_beyond_rounding(name):
    x, _ = layouts()[name]
    profile = measured(x, 0.3)
    small = compress(moments(profile))
    assert np.all(np.isfinite(small))
    assert np.all(small.yerr > 0)
    assert np.all(np.diff(small.x) > 0)
    assert changes(profile, small) < 1e-3


def test_wavelengths_and_small_fluxes():
    def shifted(params, x):
        scale = jnp.array([1e17, 1, 1] * 2), jnp.array([0, 6563.0, 0] * 2)
        return 1e-17 * double_gaussian(params * scale[0] - scale[1], x - 6563.0)

    x, y, yerr = uneven(20_000)
    profile = Profile(x + 6563.0, 1e-17 * y, 1e-17 * yerr)
    unit, zero = np.array([1e-17, 1, 1] * 2), np.array([0, 6563.0, 0] * 2)
    bounds = LOW * unit + zero, HIGH * unit + zero
    small = compress(profile, model=shifted, bounds=bounds)
    plain = compress((x, y, yerr))
    np.testing.assert_allclose(small.x - 6563.0, plain.x, atol=1e-9)
    np.testing.assert_allclose(small.y * 1e17, plain.y, atol=1e-6)


@pytest.mark.parametrize("flag", [True, False], ids=["float64", "float32"])
def test_the_proof_is_in_double_precision(flag):
    with jax.enable_x64(flag):
        small = compress(
            BOOK, model=double_gaussian, bounds=(LOW, HIGH), tolerance=1e-5
        )
        error = compression_error(BOOK, small, double_gaussian, DRAWS)
        assert jax.config.jax_enable_x64 is flag
    assert small.x.dtype == small.y.dtype == small.yerr.dtype == np.float64
    assert error == pytest.approx(changes(BOOK, small), rel=0.05)
    assert error < 1e-5


def test_fit_finds_the_same():
    start = [1.5, -0.2, 0.7, 1.5, 0.2, 0.7]
    full, few = fit(BOOK, start), fit(compress(BOOK), start)
    np.testing.assert_allclose(few.params, full.params, atol=1e-5)
    np.testing.assert_allclose(few.cov, full.cov, rtol=1e-4)


def test_a_narrow_line_is_refused():
    model, draws = line_at(0.02), np.array([[2.0, 0.3, 1.0], [1.0, -2.0, 1.5]])
    profile = take(BOOK, slice(None))
    error = compression_error(profile, compress(profile), model, draws)
    assert error > 10
    message = (
        rf"too sharp for 64 points .* up to {error:.2g} beyond .* tolerance of 0.001"
    )
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        compress(profile, model=model, draws=draws)
    with pytest.raises(ValueError, match="choose a larger size, or compress shorter"):
        compress(profile, model=model, bounds=([1, -4, 1], [3, 4, 2]))
    compress(profile, model=line_at(0.5), bounds=([1, -4, 1], [3, 4, 2]))
    # what the message says helps
    near = take(profile, abs(profile.x) < 0.15)
    compress(near, model=model, bounds=([1, -0.1, 1], [3, 0.1, 2]))
    wider = {"model": line_at(0.1), "bounds": ([1, -4, 1], [3, 4, 2])}
    with pytest.raises(ValueError, match="too sharp for 64 points"):
        compress(profile, **wider)
    compress(profile, 300, **wider)


@pytest.mark.parametrize("what", ["a sign", "a shift", "a weight"])
def test_a_planted_error_is_found(what):
    small = compress(BOOK)
    x, y, yerr = (values.copy() for values in small)
    if what == "a sign":
        y[32] = -y[32]
    elif what == "a shift":
        x += 1e-3
    else:
        yerr[32] *= 1.01
    wrong = Profile(x, y, yerr)
    assert compression_error(BOOK, wrong, double_gaussian, DRAWS) > 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "_from_moments", lambda sums: wrong)
        with pytest.raises(ValueError, match="beyond its constant"):
            compress(BOOK, model=double_gaussian, bounds=(LOW, HIGH))


# the constant


def left_over(profile, size=64):
    """Return what compression leaves of chi squared, and its degrees of freedom."""
    sums = moments(profile, size)
    small = compress(sums)
    kept = np.sum((small.y / small.yerr) ** 2)
    return sums.square - kept, sums.count - small.x.size


def test_the_constant_left_over_is_chi_squared_of_the_noise():
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        profile = measured(rng.uniform(-5, 5, 1000), 10 ** rng.uniform(-1, 1, 1000))
        noise = rng.normal(size=1000)
        profile = profile._replace(
            y=double_gaussian_numpy(TRUTH, profile.x) + profile.yerr * noise
        )
        value, degrees = left_over(profile)
        assert degrees == 936
        found.append(stats.chi2.cdf(value, degrees))
    assert stats.kstest(found, "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_the_constant_left_over_shows_wrong_error_bars(factor):
    value, degrees = left_over(BOOK._replace(yerr=factor * BOOK.yerr))
    right = value * factor**2
    spread = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(2 / degrees)
    assert abs(right / degrees - 1) < spread
    assert abs(value / degrees - 1) > 2 * spread


# what is refused

BOUNDS = {"model": double_gaussian, "bounds": (LOW, HIGH)}


@pytest.mark.parametrize("function", [moments, compress])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yerr": 0.0}, "yerr must be positive everywhere, got 0.0 at index 15000"),
        ({"yerr": -1.0}, "yerr must be positive everywhere, got -1.0 at index 15000"),
        ({"yerr": np.inf}, "yerr must be finite, got inf at index 15000"),
        ({"y": np.nan}, "y must be finite, got nan at index 15000"),
        ({"x": np.nan}, "x must be finite, got nan at index 15000"),
        ({"x": -np.inf}, "x must be finite, got -inf at index 15000"),
        ({"yerr": 1e-170}, "yerr must not be so small"),
        ({"y": 1e170}, "y so large, that"),
    ],
)
def test_bad_values_are_named(function, change, message):
    profile = Profile(*(values.copy() for values in BOOK))
    for name, value in change.items():
        getattr(profile, name)[15_000] = value
    with pytest.raises(ValueError, match=message):
        function(profile)


@pytest.mark.parametrize("function", [moments, compress])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([], [], []), r"x must have shape \(N,\) with N > 0"),
        (([[1.0, 2.0]], [1.0, 2.0], 1), r"x must have shape \(N,\)"),
        (([1.0, 2.0], [1.0], 1), "y must have the shape of x"),
        (([1.0, 2.0], [1.0, 2.0], [[1.0], [1.0]]), "yerr must be one number or"),
        (([1.0, 2.0], [1.0, 2.0]), "profile must be"),
        (([1.0, 2.0], [1.0, 2.0], 1e170), "yerr must not be so large"),
    ],
)
def test_bad_shapes_are_named(function, data, message):
    with pytest.raises(ValueError, match=message):
        function(data, 1)


@pytest.mark.parametrize("function", [moments, compress])
@pytest.mark.parametrize(
    ("interval", "message"),
    [
        ((-5, 4.9), r"interval must hold all x, from -5.0 to 5.0, got \(-5.0, 4.9\)"),
        ((-4, 5), "interval must hold all x"),
        ((5, -5), "low < high"),
        ((0, 0), "low < high"),
        ((-5, np.nan), "two finite numbers"),
        ((-5,), "two finite numbers"),
        (5, "two finite numbers"),
    ],
)
def test_bad_intervals_are_named(function, interval, message):
    with pytest.raises(ValueError, match=message):
        function(BOOK, 8, interval)


@pytest.mark.parametrize("function", [moments, compress])
@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), (64.0, TypeError)]
)
def test_bad_sizes_are_named(function, size, error):
    with pytest.raises(error, match="size must be"):
        function(BOOK, size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": double_gaussian}, "model needs either bounds or draws"),
        (BOUNDS | {"draws": DRAWS}, "model needs either bounds or draws"),
        ({"bounds": (LOW, HIGH)}, "for the proof of a model"),
        ({"draws": DRAWS}, "for the proof of a model"),
        (BOUNDS | {"tolerance": 0}, "tolerance must be a positive number, got 0"),
        (BOUNDS | {"tolerance": np.nan}, "tolerance must be a positive number"),
        (BOUNDS | {"bounds": LOW}, r"bounds must be two arrays of shape \(P,\)"),
        (BOUNDS | {"bounds": (LOW, HIGH[:5])}, "bounds must be two arrays"),
        (BOUNDS | {"bounds": (HIGH, LOW)}, "bounds must be finite with low <= high"),
        (BOUNDS | {"bounds": (LOW, LOW + np.inf)}, "bounds must be finite"),
        (BOUNDS | {"bounds": (LOW[:5], HIGH[:5])}, "model cannot be evaluated: params"),
        (
            {"model": double_gaussian, "draws": DRAWS[0]},
            r"draws must be a finite array of shape \(M, P\), got shape \(6,\)",
        ),
        ({"model": double_gaussian, "draws": DRAWS[:1]}, "draws must be at least 2"),
        (BOUNDS | {"model": lambda params, x: params[0]}, "model must return shape"),
        (
            BOUNDS | {"model": lambda params, x: params[0] * jnp.log(x)},
            "model must give a finite chi squared",
        ),
    ],
)
def test_bad_proofs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        compress(BOOK, **options)


def test_moments_alone_prove_nothing():
    with pytest.raises(ValueError, match="only be proved with the points"):
        compress(moments(BOOK), **BOUNDS)


def test_moments_bring_their_own_size():
    small = compress(moments(BOOK, 20))
    assert isinstance(moments(BOOK, 20), Moments)
    np.testing.assert_array_equal(small, compress(BOOK, 20))
