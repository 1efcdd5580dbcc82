"""Profiles made of Gaussians, and the book's example as models for NumPyro."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax
from jax.scipy.special import erfc

from jaxbayes.linear import polynomial_basis
from jaxbayes.priors import OrderedUniform

#: Lower ends of the priors of both models, in the order of the parameters.
LOW = np.array([1, -4, 0.5] * 2)
#: Upper ends of the priors of both models, in the order of the parameters.
HIGH = np.array([3, 4, 1.5] * 2)
#: The names of the sample sites of both models.
SITES = ("amplitude", "mean", "width")


def double_gaussian_numpy(params, x):
    """Evaluate the sum of two Gaussians with NumPy.

    The formula of :func:`double_gaussian`, for work that needs no JAX.

    Args:
        params: sequence of 6 values ``(a0, x0, s0, a1, x1, s1)``: amplitude
            (units of y), mean and standard deviation (units of x) of each.
        x: real array of any shape.

    Returns:
        NumPy array of the shape of ``x``, in the wider of the two dtypes.

    Raises:
        ValueError: if ``params`` does not hold 6 values.

    Example:
        >>> double_gaussian_numpy([2.0, -0.5, 0.6, 1.5, 0.6, 0.9], np.array([0.0]))
        array([2.6144])
    """
    if len(params) != 6:
        raise ValueError(f"params must hold 6 values, got {len(params)}")
    a0, x0, s0, a1, x1, s1 = np.asarray(params)
    first = a0 * np.exp(-0.5 * ((x - x0) / s0) ** 2)
    second = a1 * np.exp(-0.5 * ((x - x1) / s1) ** 2)
    return first + second


def double_gaussian(params, x):
    """Evaluate the sum of two Gaussians with JAX.

    Computes :math:`a_0 e^{-(x - x_0)^2 / 2 s_0^2} + a_1 e^{-(x - x_1)^2 / 2
    s_1^2}`; works under :func:`jax.jit`, :func:`jax.grad` and :func:`jax.vmap`.

    Args:
        params: sequence of 6 values ``(a0, x0, s0, a1, x1, s1)``: amplitude
            (units of y), mean and standard deviation (units of x) of each.
        x: real array of any shape.

    Returns:
        JAX array of the shape of ``x``; float32 unless 64-bit mode is on.

    Raises:
        ValueError: if ``params`` does not hold 6 values.

    Example:
        >>> profile = double_gaussian([2.0, -0.5, 0.6, 1.5, 0.6, 0.9], jnp.zeros(3))
        >>> print(profile.shape, f"{profile[0]:.4f}")
        (3,) 2.6144
    """
    if len(params) != 6:
        raise ValueError(f"params must hold 6 values, got {len(params)}")
    a0, x0, s0, a1, x1, s1 = params
    first = a0 * jnp.exp(-0.5 * ((x - x0) / s0) ** 2)
    second = a1 * jnp.exp(-0.5 * ((x - x1) / s1) ** 2)
    return first + second


def gaussian_sum(params, x):
    """Evaluate the sum of K Gaussians with JAX.

    With ``K = 2`` this is :func:`double_gaussian`.

    Args:
        params: array of shape ``(3 * K,)``: amplitude, mean and standard
            deviation of each Gaussian in turn, ``(a0, x0, s0, a1, ...)``.
        x: real array of any shape.

    Returns:
        JAX array of the shape of ``x``; float32 unless 64-bit mode is on.

    Raises:
        ValueError: if ``params`` is not of shape ``(3 * K,)`` with K > 0.

    Example:
        >>> two = [2.0, -0.5, 0.6, 1.5, 0.6, 0.9]
        >>> print(f"{gaussian_sum(jnp.array(two), 0.0):.4f}")
        2.6144
    """
    amplitude, mean, width = _parts(params)
    z = (jnp.asarray(x)[..., None] - mean) / width
    return jnp.sum(amplitude * jnp.exp(-0.5 * z**2), axis=-1)


def _parts(params):
    """Return the amplitudes, means and widths of K Gaussians, of shape ``(3, K)``."""
    params = jnp.asarray(params)
    if params.ndim != 1 or params.size == 0 or params.size % 3:
        raise ValueError(
            f"params must hold 3 values a Gaussian, got shape {params.shape}"
        )
    return jnp.reshape(params, (-1, 3)).T


def pixel_sum(params, x, pixel):
    """Average the sum of K Gaussians over pixels, which is what a detector records.

    The average of each Gaussian over a pixel is a difference of error functions,
    divided by the width of the pixel. Where the pixel is not wider than 1.2 standard
    deviations, it is a Gauss-Legendre sum over eight places in the pixel: as accurate
    there, sooner computed, and without the digits that the difference loses.

    Args:
        params: array of shape ``(3 * K,)``, as in :func:`gaussian_sum`.
        x: real array of any shape, the centers of the pixels.
        pixel: the widths of the pixels, positive, in units of x: one number, or an
            array of the shape of ``x``. Pixels need not touch, so those that were
            dropped leave no trace.

    Returns:
        JAX array of the shape of ``x``; float32 unless 64-bit mode is on.

    Raises:
        ValueError: if ``params`` is not of shape ``(3 * K,)`` with K > 0, or
            ``pixel`` is neither one number nor of the shape of ``x``.

    Example:
        A line narrower than the pixel is recorded broader and lower than it is:

        >>> line = jnp.array([1.0, 0.0, 0.5])
        >>> print(pixel_sum(line, jnp.array([-1.0, 0.0, 1.0]), 1.0))
        [0.1972 0.8556 0.1972]
        >>> print(gaussian_sum(line, jnp.array([-1.0, 0.0, 1.0])))
        [0.1353 1. 0.1353]
    """
    parts = _parts(params)
    if jnp.shape(pixel) not in ((), jnp.shape(x)):
        raise ValueError(
            f"pixel must be one number or of shape {jnp.shape(x)}, "
            f"got {jnp.shape(pixel)}"
        )
    each = (-1, *[1] * jnp.ndim(x))  # a row for each Gaussian, fast along x
    amplitude, mean, width = (jnp.reshape(part, each) for part in parts)
    half = jnp.abs(jnp.asarray(pixel) / width) / 2
    z = (jnp.asarray(x) - mean) / width
    return jnp.sum(amplitude * _mean_of_bell(z, half), axis=0)


@jax.jit  # so that a call by itself does not compile anew each time
def _mean_of_bell(z, half):
    """Average exp(-t**2 / 2) over t from z - half to z + half."""
    resolved = half < 0.6
    # each way sees only what it is for, so that both have finite derivatives
    few = jnp.where(resolved, half, 0.6)
    nodes, weights = (v.tolist() for v in np.polynomial.legendre.leggauss(8))
    bells = [jnp.exp(-0.5 * (z + few * node) ** 2) for node in nodes]
    mean = sum(w / 2 * bell for w, bell in zip(weights, bells, strict=True))

    def with_tails():
        wide = jnp.where(resolved, 0.6, half)
        near, far = jnp.abs(z) - wide, jnp.abs(z) + wide
        # far out erfc has digits, and erf has none
        tails = erfc(0.5**0.5 * near) - erfc(0.5**0.5 * far)
        return jnp.where(resolved, mean, (np.pi / 8) ** 0.5 * tails / wide)

    return lax.cond(jnp.all(resolved), lambda: mean, with_tails)


def to_params(amplitude, mean, width):
    """Put the values of two Gaussians into the order of the parameters.

    Args:
        amplitude: array of shape ``(..., 2)``.
        mean: array of shape ``(..., 2)``.
        width: array of shape ``(..., 2)``.

    Returns:
        JAX array of shape ``(..., 6)`` with ``(a0, x0, s0, a1, x1, s1)``.

    Example:
        >>> print(to_params([2.0, 1.5], [-0.5, 0.6], [0.6, 0.9]))
        [ 2.  -0.5  0.6  1.5  0.6  0.9]
    """
    pairs = jnp.stack([jnp.asarray(v) for v in (amplitude, mean, width)], axis=-1)
    return jnp.reshape(pairs, (*pairs.shape[:-2], 6))


def relabel(params):
    """Put the Gaussians of each parameter vector in increasing order of their means.

    The parameters of a Gaussian stay together. For draws of a model whose components
    are exchangeable, such as :func:`free_model`.

    Args:
        params: array of shape ``(..., 3 K)``, as
            :func:`to_params` and :func:`gaussian_sum` have them: amplitude, mean and
            width of each of K Gaussians.

    Returns:
        Array of the same shape.

    Raises:
        ValueError: if the last axis is not a multiple of 3.

    Example:
        >>> relabel([1.5, 0.6, 0.9, 2.0, -0.5, 0.6])
        array([ 2. , -0.5,  0.6,  1.5,  0.6,  0.9])
    """
    if np.ndim(params) == 0 or np.shape(params)[-1] % 3:
        raise ValueError(f"params must be of shape (..., 3 K), got {np.shape(params)}")
    parts = np.reshape(params, (*np.shape(params)[:-1], -1, 3))
    order = np.argsort(parts[..., 1], axis=-1)[..., None]
    return np.take_along_axis(parts, order, axis=-2).reshape(np.shape(params))


def lines_on_continuum(x, pixel, known):
    """Sample lines of known places on a polynomial continuum, for NumPyro.

    Samples the sites ``shift``, ``amplitude``, ``broadening`` and ``continuum``. To be
    called in a model, which adds the likelihood of its data. The shapes of the
    numbers in ``known`` decide what the lines share.

    Args:
        x: array of shape ``(N,)``, the centers of the pixels, between -1 and 1.
        pixel: the widths of the pixels, as in :func:`pixel_sum`.
        known: a dictionary of what is known before the data: ``rest``, array of
            shape ``(K,)``, the places of the lines; ``shift``, the standard deviation
            of how far they may be off, one number for all or array of shape ``(K,)``;
            ``amplitude``, array of shape ``(A,)``, the scales of the amplitudes;
            ``tie``, array of shape ``(K, A)``, how many of each amplitude a line has,
            negative for absorption; ``resolution``, the standard deviation of an
            unresolved line, and ``broadening``, the scale of what adds to it in
            quadrature, one number for all or arrays of shape ``(K,)``; ``continuum``,
            array of shape ``(D + 1,)``, the means of its Chebyshev coefficients, and
            ``slack``, their standard deviation.

    Returns:
        JAX array of shape ``(N,)``, the average in each pixel.

    Raises:
        ValueError: if ``known`` lacks an entry, or one has another shape.

    Example:
        >>> from numpyro.handlers import seed
        >>> known = dict(
        ...     rest=np.array([-0.3, 0.4]), shift=0.1, amplitude=np.array([1.0]),
        ...     tie=np.array([[1.0], [0.5]]), resolution=0.05, broadening=0.1,
        ...     continuum=np.array([1.0, 0.0]), slack=0.3)
        >>> x = np.linspace(-1, 1, 50)
        >>> seed(lines_on_continuum, jax.random.key(0))(x, 0.04, known).shape
        (50,)
    """
    if odd := _odd_entry(known):
        raise ValueError(odd)
    shift = numpyro.sample("shift", dist.Normal(0, known["shift"]))
    amplitude, broadening = (
        numpyro.sample(name, dist.HalfNormal(known[name]))
        for name in ("amplitude", "broadening")
    )
    continuum = numpyro.sample(
        "continuum", dist.Normal(known["continuum"], known["slack"])
    )
    width = jnp.hypot(known["resolution"], broadening)
    lines = known["tie"] @ amplitude, known["rest"] + shift, width
    params = jnp.stack(jnp.broadcast_arrays(*lines), axis=-1)
    basis = polynomial_basis(x, len(continuum) - 1, (-1, 1))
    return pixel_sum(params.ravel(), x, pixel) + basis @ continuum


def _odd_entry(known):
    """Say what is wrong with what is known of lines and continuum, or nothing."""
    each = ("shift", "resolution", "broadening")
    wanted = {"rest", "amplitude", "tie", "continuum", "slack", *each}
    if missing := sorted(wanted - known.keys()):
        return f"known must have {', '.join(missing)}, got {', '.join(sorted(known))}"
    shapes = {name: np.shape(known[name]) for name in wanted}
    for name in ("rest", "amplitude", "continuum"):
        if len(shapes[name]) != 1:
            return f"known[{name!r}] must have one axis, got shape {shapes[name]}"
    lines, heights = shapes["rest"], shapes["amplitude"]
    if shapes["tie"] != lines + heights:
        return (
            f"known['tie'] must have shape {lines + heights}, a row for each line and "
            f"a column for each amplitude, got {shapes['tie']}"
        )
    for name in each:
        if shapes[name] not in ((), (1,), lines):
            return (
                f"known[{name!r}] must be one number or of shape {lines}, one for "
                f"each line, got shape {shapes[name]}"
            )
    return ""


def free_model(x, y=None, yerr=0.3):
    """State the double Gaussian with independent uniform priors, for NumPyro.

    Nothing tells the two Gaussians apart: each posterior mode has a mirror image.

    Args:
        x: array of shape ``(N,)``.
        y: array of shape ``(N,)``, or None to draw it: the prior predictive.
        yerr: array of shape ``(N,)`` or one number, positive.

    Raises:
        ValueError: if ``y`` is not of the shape of ``x``.

    Example:
        >>> import jax
        >>> from numpyro.infer import Predictive
        >>> prior = Predictive(free_model, num_samples=10)
        >>> prior(jax.random.key(0), jnp.linspace(-5, 5, 50))["y"].shape
        (10, 50)
    """
    if y is not None and jnp.shape(y) != jnp.shape(x):
        raise ValueError(
            f"y must have the shape of x, {jnp.shape(x)}, got {jnp.shape(y)}"
        )
    with numpyro.plate("component", 2):
        amplitude = numpyro.sample("amplitude", dist.Uniform(1, 3))
        mean = numpyro.sample("mean", dist.Uniform(-4, 4))
        width = numpyro.sample("width", dist.Uniform(0.5, 1.5))
    curve = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(curve, yerr), obs=y)


def ordered_model(x, y=None, yerr=0.3):
    """State the double Gaussian with its means in increasing order, for NumPyro.

    As :func:`free_model`, but for the prior of the means:
    :class:`jaxbayes.priors.OrderedUniform`.

    Args:
        x: array of shape ``(N,)``.
        y: array of shape ``(N,)``, or None to draw it: the prior predictive.
        yerr: array of shape ``(N,)`` or one number, positive.

    Raises:
        ValueError: if ``y`` is not of the shape of ``x``.

    Example:
        >>> import jax
        >>> from numpyro.infer import Predictive
        >>> prior = Predictive(ordered_model, num_samples=10)
        >>> mean = prior(jax.random.key(0), jnp.linspace(-5, 5, 50))["mean"]
        >>> print(jnp.all(mean[:, 0] <= mean[:, 1]))
        True
    """
    if y is not None and jnp.shape(y) != jnp.shape(x):
        raise ValueError(
            f"y must have the shape of x, {jnp.shape(x)}, got {jnp.shape(y)}"
        )
    with numpyro.plate("component", 2):
        amplitude = numpyro.sample("amplitude", dist.Uniform(1, 3))
        width = numpyro.sample("width", dist.Uniform(0.5, 1.5))
    prior = OrderedUniform(-4, 4)
    mean = numpyro.sample("mean", prior, infer={"event_dims": ["component"]})
    curve = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(curve, yerr), obs=y)
