"""Least squares with derivatives, and an honest word on convergence."""

import functools
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.optimize import minimize as jax_minimize
from scipy.optimize import minimize

from jaxbayes.data import check_profile
from jaxbayes.models import double_gaussian, double_gaussian_numpy

#: The optimizers that :func:`fit` knows, SciPy's BFGS and JAX's own.
METHODS = ("scipy", "jax")


def chi2_numpy(params, x, y, yerr):
    """Sum the squared residuals of a double Gaussian, in units of the error bars.

    The formula of :func:`jaxbayes.fitting.chi2`, with NumPy.

    Args:
        params: 6 values ``(a0, x0, s0, a1, x1, s1)``.
        x: array of shape ``(N,)``.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive (not checked).

    Returns:
        chi squared, one number.

    Raises:
        ValueError: if ``params`` does not hold 6 values or ``y`` is not of the
            shape of ``x``.

    Example:
        >>> x = np.array([-1.0, 0.0, 1.0])
        >>> print(chi2_numpy([0, 0, 1, 0, 0, 1], x, np.ones(3), 0.5))
        12.0
    """
    if np.shape(y) != np.shape(x):
        raise ValueError(
            f"y must have the shape of x, {np.shape(x)}, got {np.shape(y)}"
        )
    residual = (y - double_gaussian_numpy(params, x)) / yerr
    return np.sum(residual**2)


def chi2(params, x, y, yerr, model=double_gaussian):
    r"""Sum the squared residuals of a model, in units of the error bars.

    Computes :math:`\sum_i [(y_i - f(x_i; \theta)) / \sigma_i]^2`; works under
    :func:`jax.jit`, :func:`jax.grad` and :func:`jax.vmap`.

    Args:
        params: array of shape ``(P,)``, what ``model`` takes.
        x: array of shape ``(N,)``.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive (not checked: it
            may be traced).
        model: function of ``(params, x)`` with a result of shape ``(N,)``.

    Returns:
        chi squared, a JAX scalar; float32 unless 64-bit mode is on.

    Raises:
        ValueError: if ``y`` is not of the shape of ``x``, or by ``model``.

    Example:
        >>> x = jnp.array([-1.0, 0.0, 1.0])
        >>> print(chi2(jnp.array([0.0, 0, 1, 0, 0, 1]), x, jnp.ones(3), 0.5))
        12.0
    """
    if jnp.shape(y) != jnp.shape(x):
        raise ValueError(
            f"y must have the shape of x, {jnp.shape(x)}, got {jnp.shape(y)}"
        )
    residual = (y - model(params, x)) / yerr
    return jnp.sum(residual**2)


def laplace_covariance(params, x, y, yerr, model=double_gaussian):
    """Invert the curvature of chi squared into a covariance matrix.

    At the minimum, minus the log-likelihood is chi squared / 2, so the Gaussian
    that touches it there (Laplace's approximation) has covariance
    :math:`2 H^{-1}`, with H the exact Hessian of chi squared.

    Args:
        params: array of shape ``(P,)``, the minimum.
        x: array of shape ``(N,)``.
        y: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive (not checked).
        model: function of ``(params, x)`` with a result of shape ``(N,)``.

    Returns:
        Array of shape ``(P, P)``. Use 64-bit mode, since in float32 little of a
        small eigenvalue survives the inverse.

    Raises:
        ValueError: if ``y`` is not of the shape of ``x``, or by ``model``.

    Example:
        A constant measured 4 times with error 0.5 is known to 0.5 / sqrt(4):

        >>> constant = lambda params, x: params[0] + 0 * x
        >>> data = jnp.arange(4.0), jnp.ones(4), 0.5
        >>> print(jnp.sqrt(laplace_covariance(jnp.ones(1), *data, model=constant)))
        [[0.25]]
    """
    hessian = jax.hessian(chi2)(params, x, y, yerr, model)
    return 2 * jnp.linalg.inv(hessian)


def fisher_information(params, x, yerr, model=double_gaussian):
    r"""Compute what the data can tell about each parameter, whatever their noise.

    The expected curvature of minus the log-likelihood for independent Gaussian
    noise: :math:`F = \sum_i \nabla f(x_i) \nabla f(x_i)^T / \sigma_i^2`. Its
    inverse bounds the covariance of unbiased estimators (Cramér and Rao).

    Args:
        params: array of shape ``(P,)``.
        x: array of shape ``(N,)``.
        yerr: array of shape ``(N,)`` or one number, positive (not checked).
        model: function of ``(params, x)`` with a result of shape ``(N,)``.

    Returns:
        Array of shape ``(P, P)``, symmetric.

    Raises:
        ValueError: by ``model``, if ``params`` are not what it takes.

    Example:
        >>> constant = lambda params, x: params[0] + 0 * x
        >>> print(fisher_information(jnp.ones(1), jnp.arange(4.0), 0.5, constant))
        [[16.]]
    """
    jacobian = jax.jacfwd(model)(params, x)
    weighted = jacobian / jnp.reshape(yerr, (-1, 1))
    return weighted.T @ weighted


class Fit(NamedTuple):
    """What a fit found, and whether to believe it.

    Attributes:
        params: float64 array of shape ``(P,)``, the best parameters found.
        cov: float64 array of shape ``(P, P)``, :func:`laplace_covariance` there.
        chi2: chi squared there.
        evaluations: how many times chi squared and its gradient were computed.
        converged: whether the minimum is reached, by :func:`fit`'s own test.
        message: that test in numbers, and what the optimizer said.
    """

    params: np.ndarray
    cov: np.ndarray
    chi2: float
    evaluations: int
    converged: bool
    message: str


def fit(profile, start, *, model=double_gaussian, method="scipy"):
    """Minimize chi squared by BFGS with JAX's gradient, in double precision.

    Works in float64 whatever the dtype of the input and JAX's 64-bit flag. An
    optimizer's own flag is neither necessary nor sufficient, so the result is
    judged anew: converged means a Hessian H that is positive definite beyond
    rounding, and a gradient g so small that one more Newton step would lower chi
    squared by less than 1e-6, :math:`g^T H^{-1} g / 2 < 10^{-6}` (a thousandth of an
    error bar).

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        start: array of shape ``(P,)``, finite, where the search begins.
        model: function of ``(params, x)``, traceable by JAX, with a result of
            the shape of x. Compiled once, as by :func:`jax.jit`: what it reads
            from outside stays as at its first fit.
        method: ``"scipy"`` for SciPy's BFGS, ``"jax"`` for JAX's.

    Returns:
        A :class:`Fit`; the covariance is NaN where H is not positive definite.

    Raises:
        ValueError: if the data, ``start``, ``model`` or ``method`` is not as above,
            or if there are fewer points than parameters.

    Warns:
        RuntimeWarning: if the fit did not converge, with the reason.

    Example:
        >>> from jaxbayes.data import simulate
        >>> profile = simulate(np.random.RandomState(0))
        >>> best = fit(profile, [1.5, -0.2, 0.7, 1.5, 0.2, 0.7])
        >>> print(best.converged, f"{best.chi2:.4f}")
        True 19604.3688
    """
    profile = check_profile(profile)
    start = np.asarray(start, dtype=float)
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if start.ndim != 1 or start.size == 0 or not np.all(np.isfinite(start)):
        raise ValueError(f"start must be a finite array of shape (P,), got {start}")
    if profile.x.size < start.size:
        raise ValueError(
            f"profile has {profile.x.size} points for {start.size} parameters"
        )
    with jax.enable_x64(True):
        try:
            shape = jax.eval_shape(model, start, profile.x).shape
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"model cannot be evaluated at start: {error}") from error
        if shape != profile.x.shape:
            raise ValueError(f"model must return shape {profile.x.shape}, got {shape}")
        return _fit(profile, start, model, method)


_value_and_grad = jax.jit(jax.value_and_grad(chi2), static_argnames="model")
_laplace_covariance = jax.jit(laplace_covariance, static_argnames="model")


@functools.partial(jax.jit, static_argnames="model")
def _jax_bfgs(start, data, model):
    """Run JAX's BFGS."""
    objective = functools.partial(chi2, model=model)
    return jax_minimize(objective, start, args=data, method="BFGS")


def _fit(profile, start, model, method):
    """Run the search of :func:`fit` on checked input, then judge the result."""
    if method == "scipy":
        args = (*profile, model)
        found = minimize(_value_and_grad, start, args, jac=True, method="BFGS")
        said = found.message
    else:
        found = _jax_bfgs(start, profile, model)
        said = f"status {found.status}"
    params = np.asarray(found.x)
    value, gradient = _value_and_grad(params, *profile, model)
    cov = np.asarray(_laplace_covariance(params, *profile, model))
    # as correlations, whose eigenvalues do not depend on the units of the parameters
    scale = jnp.sqrt(jnp.abs(jnp.diag(cov)))
    eigenvalues = jnp.linalg.eigvalsh(cov / jnp.outer(scale, scale))
    rounding = profile.x.size * np.finfo(float).eps
    if jnp.all(eigenvalues > rounding):
        to_go = float(gradient @ cov @ gradient) / 4
        message = f"chi squared {to_go:.1e} above the minimum"
    else:
        to_go = np.inf
        cov = np.full_like(cov, np.nan)
        message = "no minimum: Hessian not positive definite"
    message += f" (optimizer: {said})"
    converged = to_go < 1e-6
    if not converged:
        warnings.warn(f"fit did not converge: {message}", RuntimeWarning, stacklevel=3)
    return Fit(params, cov, float(value), int(found.nfev), converged, message)
