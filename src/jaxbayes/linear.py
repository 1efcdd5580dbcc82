r"""Amplitudes that enter linearly: integrated out, and drawn back.

For data :math:`y = B a + \text{noise}`, with a design matrix B that depends on the
other parameters and Gaussian noise, the integral over the amplitudes a is known. Two
lines on a flat baseline, whose widths are known to be one, leave one integral for
each pair of places:

    >>> import numpyro
    >>> from numpyro.distributions import Normal
    >>> from numpyro.infer.util import log_density
    >>> def model(x, y, yerr):
    ...     with numpyro.plate("line", 2):
    ...         place = numpyro.sample("place", Normal(0, 3))
    ...     basis = lines_and_baseline(x, place)
    ...     log_likelihood = marginal_log_likelihood(basis, y, yerr)
    ...     numpyro.factor("likelihood", log_likelihood)
    >>> def lines_and_baseline(x, place):
    ...     lines = jnp.exp(-0.5 * (x[:, None] - place) ** 2)
    ...     level = polynomial_basis(x, 0, (-5, 5))
    ...     return jnp.concatenate([lines, level], axis=1)
    >>> x = jnp.linspace(-5, 5, 50)
    >>> place = jnp.array([-1.0, 1.0])
    >>> y = lines_and_baseline(x, place) @ jnp.array([2.0, 1.0, 0.5])
    >>> density, _ = log_density(model, (x, y, 0.1), {}, {"place": place})

Any sampler takes that model as it is. Amplitudes are drawn afterwards, one set for
each draw of the places:

    >>> places = jnp.array([[-1.0, 1.0], [-1.01, 0.99]])
    >>> basis = jax.vmap(lines_and_baseline, (None, 0))(x, places)
    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> jax.vmap(draw, (0, 0, None, None))(keys, basis, y, 0.1).shape
    (2, 3)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from numpyro.util import not_jax_tracer


def polynomial_basis(x, degree, interval):
    """Evaluate Chebyshev polynomials, the columns of a smooth baseline.

    Columns of :math:`T_0` to :math:`T_{degree}` with the interval stretched to
    [-1, 1], where they stay within [-1, 1] and hardly resemble each other.

    Args:
        x: real array of shape ``(N,)``. A NumPy array is scaled in its own
            precision, whatever JAX's 64-bit flag.
        degree: highest power, an integer not below 0.
        interval: its two ends, in units of x. Use the same for every x of a model.

    Returns:
        JAX array of shape ``(N, degree + 1)``.

    Raises:
        ValueError: if ``x`` is not of shape ``(N,)``, ``degree`` is below 0, or
            ``interval`` is not two increasing numbers.
        TypeError: if ``degree`` is not an integer.

    Example:
        >>> print(polynomial_basis(np.array([6550.0, 6560, 6570]), 2, (6550, 6570)))
        [[ 1. -1.  1.]
         [ 1.  0. -1.]
         [ 1.  1.  1.]]
    """
    if jnp.ndim(x) != 1:
        raise ValueError(f"x must have shape (N,), got {jnp.shape(x)}")
    if not isinstance(degree, int | np.integer):
        raise TypeError(f"degree must be an integer, got {type(degree).__name__}")
    if degree < 0:
        raise ValueError(f"degree must not be below 0, got {degree}")
    if np.shape(interval) != (2,) or not -np.inf < interval[0] < interval[1] < np.inf:
        raise ValueError(f"interval must be two increasing numbers, got {interval}")
    low, high = interval
    t = (2 * x - low - high) / (high - low)
    columns = [t**0, t]
    for _ in range(degree - 1):
        columns.append(2 * t * columns[-1] - columns[-2])
    return jnp.stack(columns[: degree + 1], axis=1)


def whiten(basis, y, yerr, loc=0.0, scale=jnp.inf):
    r"""Write the data and the prior as one least-squares problem of unit noise.

    A Gaussian prior is one more measurement of its amplitude: a row of the unit
    matrix, with ``loc`` measured and ``scale`` as its error bar. An infinite error
    bar leaves a row of zeros, the flat prior.

    Args:
        basis: array of shape ``(N, K)``, one column for each amplitude.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive, in units of y.
        loc: array of shape ``(K,)`` or one number, the means of the prior.
        scale: array of shape ``(K,)`` or one number, its standard deviations,
            positive; infinity stands for the flat prior of density 1.

    Returns:
        ``rows`` of shape ``(N + K, K)``, ``values`` of shape ``(N + K,)`` and a number
        ``log_norm``, such that
        :math:`-|\text{values} - \text{rows}\, a|^2 / 2 - \text{log\_norm}`
        is the logarithm of the density of data and amplitudes a.

    Raises:
        ValueError: if a shape is wrong, there are more columns of flat prior than
            points, or a value is not as above; values that JAX traces are not
            checked, and one that is not finite gives a result that is not.

    Example:
        >>> y = jnp.array([3.0, 5.0])
        >>> rows, values, _ = whiten(jnp.ones((2, 1)), y, 0.5, 2, 1)
        >>> print(rows.T, values)
        [[2. 2. 1.]] [ 6. 10.  2.]
    """
    if problem := _problem(basis, y, yerr, loc, scale):
        raise ValueError(problem)
    n, k = jnp.shape(basis)
    broadcast = jnp.broadcast_to
    sigma = jnp.concatenate([broadcast(yerr, n), broadcast(scale, k)])
    rows = jnp.concatenate([basis, jnp.eye(k)]) / sigma[:, None]
    values = jnp.concatenate([y, broadcast(loc, k)]) / sigma
    norms = jnp.log(jnp.sqrt(2 * jnp.pi) * sigma)
    norms = jnp.where(jnp.isinf(sigma), 0.0, norms)
    return rows, values, jnp.sum(norms)


def take_out(columns, whole):
    """Take the first column out of the others, as far as they lie along it.

    Args:
        columns: arrays of shape ``(M,)``, at least one.
        whole: the square of the length that the first had at the beginning.

    Returns:
        The other columns, orthogonal to the first; a list of the length of the first
        and of how far each of the others went along it; and whether that length is
        more than 100 roundings of the whole. If it is not, nothing is to be had from
        the first two, which are finite and have a derivative.

    Example:
        >>> first, other = jnp.array([3.0, 4.0]), jnp.array([1.0, 3.0])
        >>> others, row, enough = take_out([first, other], 25.0)
        >>> print(others[0], *row, enough)
        [-0.8  0.6] 5.0 3.0 True
    """
    first, *others = columns
    square = first @ first
    rounding = 100 * jnp.finfo(first.dtype).eps
    enough = ~(square <= rounding**2 * whole)
    length = jnp.sqrt(jnp.where(enough, square, 1.0))
    unit = first / length
    along = [unit @ other for other in others]
    others = [other - part * unit for other, part in zip(others, along, strict=True)]
    return others, [length, *along], enough


def gram_schmidt(rows, values):
    r"""Take out of the values, and of later columns, what each column explains.

    The modified Gram-Schmidt process, with the values as one more column: as
    accurate as Householder's QR for least squares (Björck 1967), and made of plain
    array operations. Columns are scaled on the way, so that units do not matter.

    Args:
        rows: array of shape ``(M, K)``, M not below K.
        values: array of shape ``(M,)``.

    Returns:
        ``r`` of shape ``(K, K)``, upper triangular with positive diagonal, ``z`` of
        shape ``(K,)`` and ``rest`` of shape ``(M,)``, such that
        :math:`|\text{values} - \text{rows}\, a|^2 = |z - r a|^2 + |\text{rest}|^2`
        for any a; and whether the rank is full, each column keeping more than 100
        roundings of its length. If not, the other three are finite but mean nothing.

    Example:
        >>> rows, values = jnp.array([[3.0, 1.0], [4.0, 3.0]]), jnp.array([4.0, 7.0])
        >>> r, z, rest, full_rank = gram_schmidt(rows, values)
        >>> print(r, z, full_rank)
        [[5. 3.]
         [0. 1.]] [8. 1.] True
        >>> print(gram_schmidt(jnp.ones((2, 2)), values)[3])
        False
    """
    size = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=0))
    size = jnp.where(size > 0, size, 1.0)
    columns = [*(rows / size).T, values]
    triangle, full_rank = [], True
    for j, whole in enumerate([c @ c for c in columns[:-1]]):
        columns, row, enough = take_out(columns, whole)
        triangle.append(jnp.stack([0.0 * whole] * j + row))
        full_rank &= enough
    triangle = jnp.stack(triangle)
    return triangle[:, :-1] * size, triangle[:, -1], columns[0], full_rank


def marginal_log_likelihood(basis, y, yerr, *, loc=0.0, scale=jnp.inf):
    r"""Compute the log likelihood with the amplitudes integrated out.

    The logarithm of :math:`\int N(y \mid B a, \sigma)\, p(a)\, da`, all constants
    included, with independent priors of the amplitudes that are Gaussian or, where
    ``scale`` is infinite, flat with density 1: chi squared at the best amplitudes
    (Golub and Pereyra's variable projection), and a determinant. Works under
    :func:`jax.jit`, :func:`jax.grad` and :func:`jax.vmap`.

    A flat prior is improper. Where its columns are linearly dependent, as those of
    two equal lines, or of a line outside the data, the integral is infinite. The
    result is then -inf with a gradient of zero, so that a sampler turns back; it
    grows without limit nearby, and a Gaussian prior is what prevents that. The
    density 1 is per unit of amplitude, so results for different numbers of flat
    columns cannot be compared.

    Args:
        basis: array of shape ``(N, K)``, one column for each amplitude.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive, in units of y.
        loc: array of shape ``(K,)`` or one number, the means of the prior.
        scale: array of shape ``(K,)`` or one number, its standard deviations,
            positive; infinity stands for a flat prior.

    Returns:
        JAX scalar.

    Raises:
        ValueError: as :func:`whiten` does.

    References:
        Golub and Pereyra (1973), SIAM J. Numer. Anal. 10, 413; Hogg, Price-Whelan
        and Leistedt (2020), arXiv:2005.14199, for Gaussian priors.

    Example:
        Two measurements of one number, 3 and 5, each with error 1, and a flat prior:
        what is left is the density of their difference, which has error sqrt(2).

        >>> y = jnp.array([3.0, 5.0])
        >>> print(f"{marginal_log_likelihood(jnp.ones((2, 1)), y, 1.0):.4f}")
        -2.2655
        >>> print(f"{jax.scipy.stats.norm.logpdf(2.0, scale=2**0.5):.4f}")
        -2.2655
    """
    rows, values, log_norm = whiten(basis, y, yerr, loc, scale)
    r, _, rest, full_rank = gram_schmidt(rows, values)
    log_volume = jnp.log(2 * jnp.pi) * len(r) / 2
    log_volume -= jnp.sum(jnp.log(jnp.diag(r)))
    value = -rest @ rest / 2 + log_volume - log_norm
    return jnp.where(full_rank, value, -jnp.inf)


def conditional(basis, y, yerr, *, loc=0.0, scale=jnp.inf):
    """Compute the Gaussian that the amplitudes follow, given the basis and the data.

    Args:
        basis: array of shape ``(N, K)``, one column for each amplitude.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive, in units of y.
        loc: array of shape ``(K,)`` or one number, the means of the prior.
        scale: array of shape ``(K,)`` or one number, its standard deviations,
            positive; infinity stands for a flat prior.

    Returns:
        ``mean`` of shape ``(K,)``, and ``root`` of shape ``(K, K)``, upper triangular,
        with the covariance ``root @ root.T``. All NaN where data and prior do not
        determine the amplitudes, see :func:`marginal_log_likelihood`.

    Raises:
        ValueError: as :func:`whiten` does.

    Example:
        Four measurements of one number with error 0.5:

        >>> mean, root = conditional(jnp.ones((4, 1)), jnp.array([1.0, 2, 3, 4]), 0.5)
        >>> print(mean, root)
        [2.5] [[0.25]]
    """
    rows, values, _ = whiten(basis, y, yerr, loc, scale)
    r, z, _, full_rank = gram_schmidt(rows, values)
    root = solve_triangular(r, jnp.eye(len(r)))
    root = jnp.where(full_rank, root, jnp.nan)
    return root @ z, root


def draw(key, basis, y, yerr, *, loc=0.0, scale=jnp.inf):
    """Draw amplitudes, given the basis and the data.

    One draw from :func:`conditional`. With the basis of each draw of the other
    parameters, and a key for each, :func:`jax.vmap` turns draws from the marginal
    posterior into draws from the joint one.

    A uniform prior between bounds is the flat one restricted to a box: of the joint
    draws, drop those with an amplitude outside. What is left follows the posterior
    under the uniform prior exactly, and the share that is left says what that cost.
    If it is small, sample the amplitudes with the other parameters instead.

    Args:
        key: JAX random key.
        basis: array of shape ``(N, K)``, one column for each amplitude.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive, in units of y.
        loc: array of shape ``(K,)`` or one number, the means of the prior.
        scale: array of shape ``(K,)`` or one number, its standard deviations,
            positive; infinity stands for a flat prior.

    Returns:
        JAX array of shape ``(K,)``, NaN where :func:`conditional` is.

    Raises:
        ValueError: as :func:`whiten` does.

    Example:
        >>> y = jnp.array([1.0, 2, 3, 4])
        >>> keys = jax.random.split(jax.random.key(0), 10_000)
        >>> a = jax.vmap(lambda key: draw(key, jnp.ones((4, 1)), y, 0.5))(keys)
        >>> print(f"{a.mean():.1f} {a.std():.2f}")
        2.5 0.25
    """
    mean, root = conditional(basis, y, yerr, loc=loc, scale=scale)
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return mean + root @ noise


def _problem(basis, y, yerr, loc, scale):
    """Say what is wrong with the input, as far as JAX does not trace it."""
    if jnp.ndim(basis) != 2:
        return f"basis must have shape (N, K), got {jnp.shape(basis)}"
    n, k = jnp.shape(basis)
    if jnp.shape(y) != (n,):
        return f"y must have a value for each row of basis, {n}, got {jnp.shape(y)}"
    shapes = {"yerr": (yerr, n), "loc": (loc, k), "scale": (scale, k)}
    for name, (values, size) in shapes.items():
        if jnp.shape(values) not in ((), (size,)):
            return (
                f"{name} must be one number or of shape {(size,)}, "
                f"got {jnp.shape(values)}"
            )
    known = {
        name: np.asarray(values)
        for name, values in dict(
            basis=basis, y=y, yerr=yerr, loc=loc, scale=scale
        ).items()
        if not_jax_tracer(values)
    }
    for name, values in known.items():
        if np.iscomplexobj(values):
            return f"{name} must be real, got {values.dtype}"
        if name != "scale" and not np.all(np.isfinite(values)):
            bad = values[~np.isfinite(values)][0]
            return f"{name} must be finite, got {bad}"
        if name in ("yerr", "scale") and not np.all(values > 0):
            return f"{name} must be positive, got {values[~(values > 0)][0]}"
    flat = np.sum(np.isinf(np.broadcast_to(known.get("scale", 0.0), k)))
    if flat > n:
        return f"basis has {flat} columns of flat prior for {n} points"
    return None
