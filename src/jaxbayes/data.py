"""The data set of the book: a noisy double-Gaussian profile."""

from typing import NamedTuple

import numpy as np

from jaxbayes.models import double_gaussian_numpy

#: Names of the six parameters, amplitude, mean and width of each Gaussian in turn.
PARAMETERS = ("a0", "x0", "s0", "a1", "x1", "s1")
#: The values behind the simulated data, in the order of :data:`PARAMETERS`.
TRUTH = np.array([2.0, -0.5, 0.6, 1.5, 0.6, 0.9])


class Profile(NamedTuple):
    """Points of a one-dimensional profile.

    A plain tuple: ``chi2(params, *profile)`` and SciPy's ``args=profile`` work.

    Attributes:
        x: array of shape ``(N,)``, where the profile was measured.
        y: array of shape ``(N,)``, the measured values.
        yerr: array of shape ``(N,)``, one standard deviation of the noise in y.
    """

    x: np.ndarray
    y: np.ndarray
    yerr: np.ndarray


def simulate(seed, n=20_000, *, params=TRUTH, noise=0.3):
    """Simulate a double-Gaussian profile with Gaussian noise on [-5, 5].

    The data set of the tutorial that this book grew out of is
    ``simulate(np.random.RandomState(0))``, down to the rounding of its
    single-precision grid; any integer gives a fresh one.

    Args:
        seed: integer or :class:`numpy.random.Generator`; a legacy
            :class:`numpy.random.RandomState` is taken as it is.
        n: number of points, at least 2.
        params: 6 finite values ``(a0, x0, s0, a1, x1, s1)``; widths positive.
        noise: standard deviation of the noise, positive (units of y).

    Returns:
        A :class:`Profile` of three float64 arrays of shape ``(n,)``.

    Raises:
        ValueError: if ``n``, ``params`` or ``noise`` is out of range.
        TypeError: if ``n`` is not an integer, or ``seed`` of no known kind.

    Example:
        >>> profile = simulate(np.random.RandomState(0))
        >>> profile.y.shape, profile.y.dtype
        ((20000,), dtype('float64'))
        >>> print(f"{np.std(profile.y[:5000]):.2f}")  # far from both peaks
        0.30
    """
    if not isinstance(n, int | np.integer):
        raise TypeError(f"n must be an integer, got {type(n).__name__}")
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    if np.shape(params) != (6,) or not np.all(np.isfinite(params)):
        raise ValueError(f"params must be 6 finite values, got {params}")
    if params[2] <= 0 or params[5] <= 0:
        raise ValueError(f"params must have positive widths s0 and s1, got {params}")
    if not (np.ndim(noise) == 0 and 0 < noise < np.inf):
        raise ValueError(f"noise must be a positive number, got {noise}")
    if seed is None:
        raise TypeError("seed must be an integer or a generator, got None")
    legacy = isinstance(seed, np.random.RandomState)
    rng = seed if legacy else np.random.default_rng(seed)
    x = np.linspace(-5, 5, n)
    y = double_gaussian_numpy(params, x) + rng.normal(scale=noise, size=n)
    return Profile(x, y, np.full(n, noise, dtype=float))


def _floats(name, values):
    """Copy real numbers without mask and unit into a float64 array."""
    if values is None and name == "yerr":
        raise ValueError(
            "yerr must hold the error bars, got None: pass the noise of y, for all "
            "points or for each (from neighbors np.std(np.diff(y)) / np.sqrt(2), if x "
            "is in order), or infer it with the other parameters"
        )
    if values is None:
        raise ValueError(f"{name} must have shape (N,), got None")
    if getattr(values, "unit", None) is not None:
        raise ValueError(
            f"{name} must be plain numbers, got the unit {values.unit}: pass .value, "
            "with y and yerr in one unit"
        )
    mask = getattr(values, "mask", False)  # a method in pandas
    if isinstance(mask, np.ndarray | np.bool_) and np.any(mask):
        raise ValueError(
            f"{name} must have no masked points, got {np.sum(mask)}: keep the others "
            f"with keep = ~{name}.mask and x[keep], y[keep], yerr[keep]"
        )
    try:
        plain = np.asarray(values)
        floats = plain.astype(float) if plain.dtype.kind not in "cmMV" else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if np.iscomplexobj(plain):
        raise ValueError(f"{name} must be real, got complex values")
    if floats is None:
        raise ValueError(
            f"{name} must be plain numbers, got {plain.dtype}: pass one column, times "
            "as numbers of days or seconds"
        )
    return floats


def check_profile(profile):
    """Return a profile as float64 arrays, or say what is wrong with it.

    Args:
        profile: a :class:`Profile`, or any ``(x, y, yerr)``: ``x`` and ``y`` of
            shape ``(N,)``, ``yerr`` of shape ``(N,)`` or one number for all.
            ``x`` in any order, rising, falling or not sorted; real numbers of any
            type and byte order.

    Returns:
        A :class:`Profile` of float64 NumPy arrays of shape ``(N,)``, copies.

    Raises:
        ValueError: if there are not three arrays, a shape is wrong, a value is
            not a number or not finite (an infinite error bar marks a point to leave
            out), or an error bar is not positive; if an array has masked points, a
            ``unit`` (as Astropy's have), times or complex values, none of which an
            array of floats can keep. Names the array and what to pass.
        TypeError: if ``profile`` has no length.

    Example:
        >>> check_profile(([0.0, 1.0], [3.0, 4.0], 0.5)).yerr
        array([0.5, 0.5])
        >>> check_profile(([0.0, 1.0], [3.0, 4.0], [0.5, 0.0]))
        Traceback (most recent call last):
        ...
        ValueError: yerr must be positive everywhere, got 0.0 at index 1
    """
    if not hasattr(profile, "__len__"):
        raise TypeError(f"profile must be (x, y, yerr), got {type(profile).__name__}")
    if len(profile) != 3:
        raise ValueError(
            f"profile must be (x, y, yerr), got {len(profile)} entries: yerr may be "
            "one number"
        )
    x, y, yerr = map(_floats, Profile._fields, profile)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"x must have shape (N,) with N > 0, got {x.shape}")
    if y.shape != x.shape:
        raise ValueError(f"y must have the shape of x, {x.shape}, got {y.shape}")
    if yerr.shape not in ((), x.shape):
        raise ValueError(
            f"yerr must be one number or of shape {x.shape}, got {yerr.shape}"
        )
    yerr = np.broadcast_to(yerr, x.shape).copy()
    for name, values in (("x", x), ("y", y), ("yerr", yerr)):
        if not np.all(np.isfinite(values)):
            bad = np.flatnonzero(~np.isfinite(values))[0]
            raise ValueError(
                f"{name} must be finite, got {values[bad]} at index {bad}: keep the "
                f"other points with keep = np.isfinite({name}) and x[keep], y[keep], "
                "yerr[keep]"
            )
    if not np.all(yerr > 0):
        bad = np.flatnonzero(yerr <= 0)[0]
        raise ValueError(
            f"yerr must be positive everywhere, got {yerr[bad]} at index {bad}"
        )
    return Profile(x, y, yerr)
