"""Many points turned into few, without loss for any smooth model."""

import bisect
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from jaxbayes.data import Profile, check_profile
from jaxbayes.fitting import chi2
from jaxbayes.timing import cores

_GROUP = 2000  # points in one matrix product: small enough to stay on one thread
_BLOCK = 6 * _GROUP  # points at a time: what fits a core's cache
_CHUNK = 50 * _BLOCK  # points that one thread adds up on its own
_PIVOT = 1e-10  # below this, a pivot of the Gram matrix may be all rounding
_WORK = 2**31  # how much N size**2 may be to work on the points: seconds


class Moments(NamedTuple):
    r"""Sums over the points of a profile, from which :func:`compress` works.

    With :math:`w = \sigma^{-2}` and :math:`T_k` the Chebyshev polynomials on the
    interval, mapped to [-1, 1]. The moments of two sets of points add with ``+``
    (and ``sum``) to those of both together.

    Attributes:
        interval: ``(low, high)``, on which the polynomials live (units of x).
        weight: float64 array of shape ``(2n,)``, sums of :math:`w T_k` over them.
        data: float64 array of shape ``(n,)``, sums of :math:`w y T_k` over them.
        square: the sum of :math:`w y^2` over them.
        count: how many points, N.

    Example:
        >>> night = [([0.0, 1.0], [3.0, 4.0], 0.5), ([0.5], [3.6], 0.1)]
        >>> both = sum(moments(points, 2, (0, 1)) for points in night)
        >>> print(both.count, both.weight)
        3 [108.   0. -92.   0.]
    """

    interval: tuple[float, float]
    weight: np.ndarray
    data: np.ndarray
    square: float
    count: int

    def __add__(self, other):
        """Add the sums of two sets of points on one interval."""
        if not isinstance(other, Moments):
            return NotImplemented
        if other.interval != self.interval:
            raise ValueError(
                "moments must share an interval to be added, got "
                f"{self.interval} and {other.interval}"
            )
        if other.data.size != self.data.size:
            raise ValueError(
                "moments must share a size to be added, got "
                f"{self.data.size} and {other.data.size}"
            )
        sums = (mine + theirs for mine, theirs in zip(self[1:], other[1:], strict=True))
        return Moments(self.interval, *sums)

    def __radd__(self, other):
        """Let ``sum`` begin with its zero."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


def moments(profile, size=64, interval=None):
    """Add up what :func:`compress` has to know about a profile, in one pass.

    Works in float64 on a few thousand points at a time, in a thread for each core,
    and adds in an order that does not depend on the number of threads. Of each 16
    polynomials (for the default size) one matrix product does the work, by
    :math:`2 T_m T_n = T_{m+n} + T_{|m-n|}`.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`; the
            points in any order.
        size: to how many points the profile will be compressed, at least 1.
        interval: ``(low, high)`` with all x in it (units of x). By default from the
            smallest x to the largest; moments that will be added need the same.

    Returns:
        The :class:`Moments`.

    Raises:
        ValueError: if the profile is not as above, ``size`` is less than 1, the
            interval is empty or does not hold all x, or if the error bars are so
            small that the sum of their inverse squares overflows.
        TypeError: if ``size`` is not an integer.

    Example:
        >>> from jaxbayes.data import simulate
        >>> sums = moments(simulate(0))
        >>> sums.weight.shape, sums.data.shape, sums.count
        ((128,), (64,), 20000)
    """
    _check_size(size)
    arrays, (low, high) = _arrays_and_interval(profile, interval)
    # T_{step i + j}, for j up to the step and enough i to reach 2 size
    step = 2 ** int(np.ceil(np.log2(2 * size) / 2))
    rows = -(-2 * size // step), -(-size // step)
    starts = range(0, arrays[0].size, _CHUNK)
    with ThreadPoolExecutor(cores()) as pool:
        parts = pool.map(
            lambda start: _chunk(arrays, start, low, high, step, rows), starts
        )
        products, square = _add_up(parts)
    if not np.all(np.isfinite(products)) or not np.isfinite(square):
        raise ValueError(
            "yerr must not be so small, or y so large, that the sums of yerr**-2 and "
            "(y / yerr)**2 overflow; scale both"
        )
    if not products[0, 0] > 0:
        raise ValueError("yerr must not be so large that yerr**-2 vanishes; scale it")
    weight = _unfold(products[: rows[0]])[: 2 * size]
    data = _unfold(products[rows[0] :])[:size]
    return Moments((low, high), weight, data, float(square), arrays[0].size)


def _check_size(size):
    """Refuse a number of points that is none."""
    if not isinstance(size, int | np.integer):
        raise TypeError(f"size must be an integer, got {type(size).__name__}")
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")


def _arrays_and_interval(profile, interval):
    """Return a profile as arrays, not yet copied, and an interval that holds x."""
    arrays = [np.asanyarray(values) for values in profile]
    shapes = [values.shape for values in arrays]
    if len(shapes) != 3 or len(shapes[0]) != 1 or shapes[0] == (0,):
        check_profile(profile)
    if shapes[1] != shapes[0] or shapes[2] not in ((), shapes[0]):
        check_profile(profile)
    arrays[2] = np.broadcast_to(arrays[2], shapes[0], subok=True)
    first, last = float(np.min(arrays[0])), float(np.max(arrays[0]))
    if not np.isfinite(last - first):
        check_profile(profile)
    if interval is None:
        if first == last:  # any interval about a single x will do
            first, last = first - 1 - abs(first), first + 1 + abs(first)
        return arrays, (first, last)
    if np.shape(interval) != (2,) or not np.all(np.isfinite(interval)):
        raise ValueError(f"interval must be two finite numbers, got {interval}")
    low, high = (float(end) for end in interval)
    if not low < high:
        raise ValueError(
            f"interval must be (low, high) with low < high, got {interval}"
        )
    if first < low or last > high:
        raise ValueError(
            f"interval must hold all x, from {first} to {last}, got {(low, high)}"
        )
    return arrays, (low, high)


def _chunk(arrays, start, low, high, step, rows):
    """Add up the products and the squares of a chunk of the points."""
    tops = step, 2 ** int(np.ceil(np.log2(max(rows[0] - 1, 1))))
    space = [np.empty((n, _BLOCK)) for n in (tops[0] + 1, tops[1] + 1, sum(rows))]
    return _add_up(
        _block(arrays, slice(i, i + _BLOCK), low, high, rows, *space)
        for i in range(start, min(start + _CHUNK, arrays[0].size), _BLOCK)
    )


def _block(arrays, where, low, high, rows, small, large, weighted):
    """Multiply the polynomials T_{step i}, weighted, with the T_j, j < step."""
    try:
        x, y, yerr = check_profile([values[where] for values in arrays])
    except ValueError:
        check_profile(arrays)  # whose index counts from the first point of all
        raise
    with np.errstate(all="ignore"):  # moments() looks at the end
        t = np.clip(((x - low) - (high - x)) / (high - low), -1, 1)
        weight = 1 / yerr**2
        columns = t, weight, weight * y, weight * y**2
        pad = -t.size % _GROUP
        if pad:
            columns = [np.pad(values, (0, pad)) for values in columns]
        t, weight, data, square = columns
        small, large, weighted = (a[:, : t.size] for a in (small, large, weighted))
        _chebyshev(t, small)
        _chebyshev(small[-1], large)  # T_i(T_j) = T_{ij}
        np.multiply(large[: rows[0]], weight, out=weighted[: rows[0]])
        np.multiply(large[: rows[1]], data, out=weighted[rows[0] :])
        groups = t.size // _GROUP
        weighted = weighted.reshape(-1, groups, _GROUP).transpose(1, 0, 2)
        small = small[:-1].reshape(-1, groups, _GROUP).transpose(1, 2, 0)
        return np.sum(weighted @ small, axis=0), np.sum(square)


def _chebyshev(t, rows):
    """Fill 2**k + 1 rows with T_0, T_1, ..., doubling how many are there."""
    rows[0], rows[1] = 1, t
    done = 1
    while done < len(rows) - 1:
        new = rows[done + 1 : 2 * done + 1]
        np.multiply(rows[1 : done + 1], 2 * rows[done], out=new)
        new -= rows[:done][::-1]
        done *= 2


def _add_up(parts):
    """Add pairs (array, number) and carry along what rounding loses (Neumaier)."""
    parts = iter(parts)
    total, lost = next(parts), [0, 0]
    for part in parts:
        with np.errstate(all="ignore"):
            new = [a + b for a, b in zip(total, part, strict=True)]
            taken = [s - a for s, a in zip(new, total, strict=True)]
            lost = [
                rest + ((a - (s - t)) + (b - t))
                for rest, a, b, s, t in zip(lost, total, part, new, taken, strict=True)
            ]
        total = new
    return [a + rest for a, rest in zip(total, lost, strict=True)]


def _unfold(products):
    """Turn sums of T_{step i} T_j into sums of T_{step i + j}."""
    step = products.shape[1]
    sums = products.ravel().copy()
    for i in range(step, sums.size, step):
        sums[i + 1 : i + step] *= 2
        sums[i + 1 : i + step] -= sums[i - step + 1 : i][::-1]
    return sums


def compress(
    profile,
    size=64,
    interval=None,
    *,
    model=None,
    bounds=None,
    draws=None,
    tolerance=1e-3,
):
    """Turn a profile of any length into a few points that stand for all.

    The points x of the result and their weights ``yerr**-2`` are the Gauss
    quadrature of the data's own weights: they integrate each polynomial of degree
    below 2 size exactly. Its y are the values there of the polynomial of degree
    size - 1 that fits the data best. So for any model that such a polynomial follows
    on the interval, chi squared changes by a constant, whatever the parameters.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`, or its
            :class:`Moments`, which bring their own size and interval.
        size: how many points to keep, at least 1. A profile with no more points
            is returned as it is.
        interval: ``(low, high)`` with all x in it, by default from the smallest x
            to the largest.
        model: if given, the result is proved for this function of
            ``(params, x)``, as :func:`jaxbayes.fitting.fit` takes it, at the cost of
            128 chi squareds of the whole profile; needs ``bounds`` or ``draws``.
        bounds: ``(low, high)``, two arrays of shape ``(P,)``, a box of parameters.
            Proved are 64 of its corners, and 64 points inside, drawn once and for all.
        draws: array of shape ``(M, P)``, the parameters to prove instead.
        tolerance: the largest change of chi squared, beyond its constant, that is
            accepted of ``model``.

    Returns:
        A :class:`jaxbayes.data.Profile` of float64 arrays of shape ``(size,)``, with
        x increasing. Fewer where the points lie at fewer different x, or, from
        moments alone, where these cannot tell more polynomials apart: where the
        points leave a wide gap or are hardly more than ``size``.

    Raises:
        ValueError: if an argument is not as above, or if chi squared of the model
            changes by more than the tolerance; says by how much, and what to do.
        TypeError: if ``size`` is not an integer.

    References:
        Golub and Welsch (1969) for the nodes; Gautschi (2004) for moments with
        respect to other polynomials; Antil et al. (2013) and Canizares et al.
        (2015) for quadrature rules made for a model's chi squared.

    Example:
        >>> from jaxbayes.data import simulate
        >>> from jaxbayes.models import double_gaussian
        >>> bounds = [1, -4, 0.5] * 2, [3, 4, 1.5] * 2
        >>> small = compress(simulate(0), model=double_gaussian, bounds=bounds)
        >>> small.x.shape, bool(all(small.yerr > 0))
        ((64,), True)
    """
    if isinstance(profile, Moments):
        if model is not None or bounds is not None or draws is not None:
            raise ValueError(
                "model can only be proved with the points at hand, got their moments; "
                "call compression_error with a part of the points"
            )
        return _from_moments(profile)
    _check_size(size)
    draws = _draws(model, bounds, draws, tolerance)
    arrays, _ = _arrays_and_interval(profile, interval)
    if arrays[0].size <= size:
        return check_profile(profile)
    sums = moments(profile, size, interval)
    small = _from_moments(sums)
    if small.x.size < size and arrays[0].size * size**2 <= _WORK:
        small = _from_points(check_profile(profile), size)
    if model is None:
        return small
    error = compression_error(profile, small, model, draws)
    if error > tolerance:
        raise ValueError(
            f"model is too sharp for {small.x.size} points between "
            f"{sums.interval[0]:g} and {sums.interval[1]:g}: chi squared changes by up "
            f"to {error:.2g} beyond its constant, more than the tolerance of "
            f"{tolerance:g}; choose a larger size, or compress shorter pieces of x"
        )
    return small


def _from_moments(sums):
    """Find nodes, weights and values from the moments."""
    m, n = sums.weight, sums.data.size
    i, j = np.arange(n), np.arange(n)[:, None]
    gram = (m[i + j] + m[abs(i - j)]) / 2
    # t T_j = (T_{j+1} + T_{|j-1|}) / 2
    less = abs(j - 1)
    with_t = (m[i + j + 1] + m[abs(i - j - 1)] + m[i + less] + m[abs(i - less)]) / 4
    root, failed = dpotrf(gram, lower=1)
    safe = np.diag(root) ** 2 > _PIVOT * np.diag(gram)
    if failed:
        safe[failed - 1 :] = False
    order = n if np.all(safe) else np.argmin(safe)
    root = root[:order, :order]  # which is as far as it is sound
    half = solve_triangular(root, with_t[:order, :order], lower=True)
    jacobi = solve_triangular(root, half.T, lower=True)
    jacobi = (jacobi + jacobi.T) / 2
    values = solve_triangular(root, sums.data[:order], lower=True)

    def outside(k):  # as no node is, unless rounding has come so far; nor is for less
        return np.max(abs(np.linalg.eigvalsh(jacobi[:k, :k]))) > 1 + _PIVOT

    if outside(order):
        order = bisect.bisect_left(range(1, order), True, key=outside)
    return _gauss(jacobi[:order, :order], m[0], values[:order], sums.interval)


def _from_points(profile, size):
    """Find the same from the points, by Lanczos with all directions kept."""
    x, place = np.unique(profile.x, return_inverse=True)
    weight = np.bincount(place, profile.yerr**-2)
    y = np.bincount(place, profile.yerr**-2 * profile.y) / weight
    if x.size <= size:
        return Profile(x, y, weight**-0.5)
    t = ((x - x[0]) - (x[-1] - x)) / (x[-1] - x[0])
    total = np.sum(weight)
    basis = np.empty((size, x.size))
    basis[0] = np.sqrt(weight / total)
    for k in range(1, size):
        new = t * basis[k - 1]
        for _ in range(2):  # the second time takes away what rounding left
            new = new - (basis[:k] @ new) @ basis[:k]
        basis[k] = new / np.linalg.norm(new)
    values = basis @ (y * np.sqrt(weight))
    return _gauss(basis @ (t * basis).T, total, values, (x[0], x[-1]))


def _gauss(jacobi, total, values, interval):
    """Diagonalize t: nodes, weights, and the fit at the nodes (Golub and Welsch)."""
    t, vectors = np.linalg.eigh(jacobi)
    kept = abs(vectors[0]) > np.finfo(float).eps  # else the node weighs nothing
    t, first = np.clip(t[kept], -1, 1), vectors[0, kept]
    low, high = interval
    x = low + (t + 1) / 2 * (high - low)
    y = values @ vectors[:, kept] / (first * np.sqrt(total))
    return Profile(x, y, 1 / (abs(first) * np.sqrt(total)))


def _draws(model, bounds, draws, tolerance):
    """Check what a model shall be proved on, and return its parameters."""
    if model is None:
        if bounds is not None or draws is not None:
            raise ValueError("bounds and draws are for the proof of a model, got none")
        return None
    if (bounds is None) == (draws is None):
        raise ValueError("model needs either bounds or draws to be proved on")
    if not (np.ndim(tolerance) == 0 and tolerance > 0):
        raise ValueError(f"tolerance must be a positive number, got {tolerance}")
    if draws is not None:
        return _check_draws(draws)
    shapes = [np.shape(end) for end in bounds]
    if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise ValueError(f"bounds must be two arrays of shape (P,), got {shapes}")
    low, high = np.asarray(bounds, dtype=float)
    if not np.all(np.isfinite(high - low)) or not np.all(low <= high):
        raise ValueError(f"bounds must be finite with low <= high, got {low}, {high}")
    rng = np.random.default_rng(0)
    shape = 64, low.size
    inside = np.concatenate([rng.integers(0, 2, shape), rng.uniform(size=shape)])
    return low + (high - low) * inside


def _check_draws(draws):
    """Return parameters as a float64 array, or say what is wrong with them."""
    draws = np.asarray(draws, dtype=float)
    if draws.ndim != 2 or draws.size == 0 or not np.all(np.isfinite(draws)):
        raise ValueError(
            f"draws must be a finite array of shape (M, P), got shape {draws.shape}"
        )
    return draws


def compression_error(profile, small, model, draws):
    """Measure by how much chi squared changes, beyond a constant.

    In double precision, whatever JAX's flag.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        small: the profile that stands for it, such as from :func:`compress`.
        model: function of ``(params, x)``, traceable by JAX, with a result of the
            shape of x.
        draws: array of shape ``(M, P)``, the parameters to compare at, at least 2.

    Returns:
        The largest minus the smallest difference of chi squared over the draws.

    Raises:
        ValueError: if an argument is not as above, or chi squared is not finite.

    Example:
        The mean of two points, with the weight of both, serves any constant:

        >>> constant = lambda params, x: params[0] + 0 * x
        >>> pair, mean = ([0.0, 1.0], [3.0, 5.0], 1.0), ([0.5], [4.0], 0.5**0.5)
        >>> print(f"{compression_error(pair, mean, constant, [[0.0], [7.0]]):.1f}")
        0.0
    """
    profile, small = check_profile(profile), check_profile(small)
    draws = _check_draws(draws)
    if len(draws) < 2:
        raise ValueError(f"draws must be at least 2 to be compared, got {len(draws)}")
    with jax.enable_x64(True):
        for data in (profile, small):
            try:
                shape = jax.eval_shape(model, draws[0], data.x).shape
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"model cannot be evaluated: {error}") from error
            if shape != data.x.shape:
                raise ValueError(f"model must return shape {data.x.shape}, got {shape}")
        change = np.asarray(_change(draws, profile, small, model))
    if not np.all(np.isfinite(change)):
        bad = draws[np.flatnonzero(~np.isfinite(change))[0]]
        raise ValueError(f"model must give a finite chi squared, got none at {bad}")
    return float(np.ptp(change))


@functools.partial(jax.jit, static_argnames="model")
def _change(draws, profile, small, model):
    """Subtract chi squared of one profile from that of another, draw by draw."""

    def one(params):
        return chi2(params, *profile, model) - chi2(params, *small, model)

    return jax.lax.map(one, draws)
