"""Least squares with derivatives, and an honest word on convergence."""

import functools
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.optimize import minimize as jax_minimize
from scipy import stats
from scipy.optimize import least_squares, minimize

from jaxbayes.data import check_profile
from jaxbayes.models import double_gaussian, double_gaussian_numpy

#: The searches that :func:`fit` knows: Levenberg-Marquardt, SciPy's BFGS, JAX's.
METHODS = ("lm", "scipy", "jax")


def _wrong(x, y, yerr):
    """Say what is wrong with data whose values may be traced, or return None."""
    for name, values in (("x", x), ("y", y), ("yerr", yerr)):
        if np.iscomplexobj(values):
            return f"{name} must be real, got complex values"
    shape = np.shape(x)
    if len(shape) != 1:
        return f"x must have shape (N,), got {shape}"
    if np.shape(y) != shape:
        return f"y must have the shape of x, {shape}, got {np.shape(y)}"
    if np.shape(yerr) not in ((), shape):
        return f"yerr must be one number or of shape {shape}, got {np.shape(yerr)}"
    return None


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
        ValueError: if ``params`` does not hold 6 values, a shape is not as above
            (shapes that broadcast are refused too), or data are complex.

    Example:
        >>> x = np.array([-1.0, 0.0, 1.0])
        >>> print(chi2_numpy([0, 0, 1, 0, 0, 1], x, np.ones(3), 0.5))
        12.0
    """
    if wrong := _wrong(x, y, yerr):
        raise ValueError(wrong)
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
        ValueError: if the shape of ``x``, ``y`` or ``yerr`` is not as above (one
            that broadcasts is refused too) or one of them is complex, also when
            traced; or by ``model``.

    Example:
        >>> x = jnp.array([-1.0, 0.0, 1.0])
        >>> print(chi2(jnp.array([0.0, 0, 1, 0, 0, 1]), x, jnp.ones(3), 0.5))
        12.0
    """
    if wrong := _wrong(x, y, yerr):
        raise ValueError(wrong)
    residual = (y - model(params, x)) / yerr
    return jnp.sum(residual**2)


def laplace_covariance(params, x, y, yerr, model=double_gaussian):
    """Invert the curvature of chi squared into a covariance matrix.

    At the minimum, minus the log-likelihood is chi squared / 2, so the Gaussian
    that touches it there (Laplace's approximation) has covariance
    :math:`2 H^{-1}`, with H the exact Hessian of chi squared. H is brought to a
    unit diagonal before it is inverted, so the units of the parameters, however
    far apart, cost no digits.

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
        ValueError: as :func:`chi2`.

    Example:
        A constant measured 4 times with error 0.5 is known to 0.5 / sqrt(4):

        >>> constant = lambda params, x: params[0] + 0 * x
        >>> data = jnp.arange(4.0), jnp.ones(4), 0.5
        >>> print(jnp.sqrt(laplace_covariance(jnp.ones(1), *data, model=constant)))
        [[0.25]]
    """
    hessian = jax.hessian(chi2)(params, x, y, yerr, model)
    scale = jnp.sqrt(jnp.abs(jnp.diag(hessian)))
    units = jnp.outer(scale, scale)
    return 2 * jnp.linalg.inv(hessian / units) / units


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
        ValueError: if the shape of ``x`` or ``yerr`` is not as above or one of them
            is complex; by ``model``, if ``params`` are not what it takes.

    Example:
        >>> constant = lambda params, x: params[0] + 0 * x
        >>> print(fisher_information(jnp.ones(1), jnp.arange(4.0), 0.5, constant))
        [[16.]]
    """
    if wrong := _wrong(x, x, yerr):
        raise ValueError(wrong)
    jacobian = jax.jacfwd(model)(params, x)
    weighted = jacobian / jnp.reshape(yerr, (-1, 1))
    return weighted.T @ weighted


class Fit(NamedTuple):
    """What a fit found, and whether to believe it.

    Attributes:
        params: float64 array of shape ``(P,)``, the best parameters found.
        cov: float64 array of shape ``(P, P)``, :func:`laplace_covariance` there.
        chi2: chi squared there.
        evaluations: how many times the search computed the residuals and their
            Jacobian (``"lm"``), or chi squared and its gradient.
        converged: whether the minimum is reached, by :func:`fit`'s own test.
        message: that test in numbers, and what the optimizer said.
    """

    params: np.ndarray
    cov: np.ndarray
    chi2: float
    evaluations: int
    converged: bool
    message: str


def fit(profile, start, *, model=double_gaussian, method="lm"):
    r"""Minimize chi squared with JAX's derivatives, in double precision.

    Works in float64 whatever the dtype of the input and JAX's 64-bit flag, and in
    any units: the search sees each parameter in units of what it does to the
    residuals (the diagonal of :math:`J^T J`, as in Moré 1978, Lecture Notes in
    Mathematics 630, 105), and chi squared in units of its value at the start.

    An optimizer's own flag is neither necessary nor sufficient, so the result is
    judged anew: converged means a Hessian H that is positive definite beyond
    rounding, and a gradient g so small that one more Newton step would lower chi
    squared by less than 1e-6, :math:`g^T H^{-1} g / 2 < 10^{-6}` (a thousandth of
    an error bar). Where chi squared is below the degrees of freedom N - P, the
    error bars of the data are too large and 1e-6 is lowered by that ratio, down to
    the rounding of the data and the parameters. A fit that has converged ends with
    that Newton step, which brings the parameters to the rounding of the data.

    A parameter whose sign makes no difference to the model at any x, such as the
    width of a Gaussian, is returned positive.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`; x in any
            order. Each number of points is compiled anew, which takes longer than
            the fit. For many profiles of different lengths,
            :func:`jaxbayes.compression.compress` first brings each to the same 64
            points without loss; do not pad.
        start: array of shape ``(P,)``, real and finite, where the search begins.
        model: function of ``(params, x)``, traceable by JAX, with a result of
            the shape of x. Compiled once, as by :func:`jax.jit`: what it reads
            from outside stays as at its first fit.
        method: ``"lm"`` for Levenberg-Marquardt with the exact Jacobian, which
            uses that chi squared is a sum of squares (MINPACK by SciPy);
            ``"scipy"`` for SciPy's BFGS with the exact gradient, ``"jax"`` for
            JAX's.

    Returns:
        A :class:`Fit`; the covariance is NaN where H is not positive definite.

    Raises:
        ValueError: if the data, ``start``, ``model`` or ``method`` is not as above,
            or if there are fewer points than parameters.

    Warns:
        RuntimeWarning: if the fit did not converge, with the reason; or if chi
            squared is below a hundredth of N - P: error bars that are on average
            more than ten times too large, or were never given. Correct ones get
            there by chance less than once in a million fits (for N - P below 7
            the limit is lower, so that this holds).

    Example:
        >>> from jaxbayes.data import simulate
        >>> profile = simulate(np.random.RandomState(0))
        >>> best = fit(profile, [1.5, -0.2, 0.7, 1.5, 0.2, 0.7])
        >>> print(best.converged, f"{best.chi2:.4f}")
        True 19604.3688
    """
    profile = check_profile(profile)
    if np.iscomplexobj(start):
        raise ValueError("start must be real, got complex values")
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


def _scaled_residuals(z, origin, scale, size, data, model):
    """Return the residuals in units of size, at parameters in units of scale."""
    x, y, yerr = data
    return (y - model(origin + z * scale, x)) / yerr / size


def _scaled_chi2(z, *args, model):
    """Sum the squares of the scaled residuals."""
    return jnp.sum(_scaled_residuals(z, *args, model) ** 2)


_value_and_grad = jax.jit(jax.value_and_grad(_scaled_chi2), static_argnames="model")


@functools.partial(jax.jit, static_argnames="model")
def _residuals_and_jacobian(z, *args, model):
    """Linearize the scaled residuals; a huge one stands for one that is not finite."""

    def twice(z):
        residuals = _scaled_residuals(z, *args, model)
        return residuals, residuals

    jacobian, residuals = jax.jacfwd(twice, has_aux=True)(z)
    return jnp.where(jnp.isfinite(residuals), residuals, 1e100), jacobian


@functools.partial(jax.jit, static_argnames="model")
def _jax_bfgs(z, args, tolerance, model):
    """Run JAX's BFGS."""
    objective = functools.partial(_scaled_chi2, model=model)
    options = {"gtol": tolerance}
    return jax_minimize(objective, z, args=args, method="BFGS", options=options)


def _by_lm(z, args, tolerance, model):
    """Search by MINPACK's Levenberg-Marquardt."""
    # MINPACK's first step changes the residuals by 100 at most: a tenth of all
    length = 1000
    # it converges linearly, unlike BFGS, so a small step is not yet a small rest
    tolerance = max(tolerance / 10, 1e-15)

    @functools.lru_cache(maxsize=2)  # the Jacobian is asked for where it just was
    def at(z):
        both = _residuals_and_jacobian(np.array(z), *args, model=model)
        return [length * np.asarray(values) for values in both]

    found = least_squares(
        lambda z: at(tuple(z))[0],
        z,
        jac=lambda z: at(tuple(z))[1],
        method="lm",
        x_scale="jac",
        ftol=max(tolerance**2, 1e-15),
        xtol=tolerance,
        gtol=tolerance,
    )
    return found.x, at.cache_info().misses, found.message


def _by_scipy(z, args, tolerance, model):
    """Search by SciPy's BFGS."""
    objective = functools.partial(_value_and_grad, model=model)
    options = {"gtol": tolerance}
    found = minimize(objective, z, args, jac=True, method="BFGS", options=options)
    return found.x, found.nfev, found.message


def _by_jax(z, args, tolerance, model):
    """Search by JAX's BFGS."""
    found = _jax_bfgs(z, args, tolerance, model)
    return np.asarray(found.x), int(found.nfev), f"status {found.status}"


_SEARCHES = dict(zip(METHODS, (_by_lm, _by_scipy, _by_jax), strict=True))


class _Place(NamedTuple):
    """Chi squared about a point.

    Attributes:
        params: the point, of shape ``(P,)``.
        values: the model there in error bars, of shape ``(N,)``.
        chi2: its value.
        cov: twice the inverse of its Hessian, NaN where that is not positive
            definite.
        step: Newton's step to the minimum, NaN where there is none.
        norms: change of the residuals by one unit of each parameter.
        to_go: estimated distance to the minimum.
        enough: distance at which the minimum counts as reached.
    """

    params: np.ndarray
    values: np.ndarray
    chi2: float
    cov: np.ndarray
    step: np.ndarray
    norms: np.ndarray
    to_go: float
    enough: float


@functools.partial(jax.jit, static_argnames="model")
def _derivatives(params, data, model):
    """Return the model in error bars, and of chi squared all up to the Hessian."""
    x, y, yerr = data

    def twice(params):
        values = model(params, x) / yerr
        return values, values

    jacobian, values = jax.jacfwd(twice, has_aux=True)(params)
    residuals = y / yerr - values
    gradient = -2 * residuals @ jacobian
    norms = jnp.sqrt(jnp.sum(jacobian**2, axis=0))
    hessian = jax.hessian(chi2)(params, *data, model)
    return values, jnp.sum(residuals**2), norms, gradient, hessian


def _look(params, profile, model):
    """Measure chi squared about a point, and how far it is from the minimum."""
    found = _derivatives(params, profile, model)
    values, value, norms, gradient, hessian = map(np.asarray, found)
    eps, count = np.finfo(float).eps, values.size
    # left undecided: the rounding of the parameters, and 1000 times that of the data
    data = np.sum((profile.y / profile.yerr) ** 2)
    rounding = np.sum(np.abs(params) * norms) ** 2 + 1e6 * data
    per_dof = value / max(count - params.size, 1)
    enough = 1e-6 * min(1.0, per_dof) + eps**2 * rounding
    cov, step, to_go = np.full_like(hessian, np.nan), np.nan * gradient, np.inf
    scale = np.sqrt(np.abs(np.diag(hessian)))
    if np.all(np.isfinite(hessian)) and np.all(scale > 0):
        # a unit diagonal, so that eigenvalues do not depend on the units of params
        curvatures, axes = np.linalg.eigh(hessian / np.outer(scale, scale))
        if np.all(curvatures > count * eps):
            axes = axes / scale[:, None]
            cov = 2 * (axes / curvatures) @ axes.T
            step = -axes @ (gradient @ axes / curvatures)
            to_go = float(np.sum((gradient @ axes) ** 2 / curvatures) / 2)
    return _Place(params, values, float(value), cov, step, norms, to_go, enough)


def _search(place, data, model, method):
    """Search from a place, in its own units of parameters and of chi squared."""
    size = np.sqrt(place.chi2) or 1.0
    # a third of the way by which a parameter changes the residuals by their size;
    # a parameter that does nothing here is measured by its own value
    own = np.where(place.params == 0, 1.0, np.abs(place.params))
    norms = np.where(place.norms > 0, place.norms, size / own)
    scale = 0.3 * size / norms
    dof = max(place.values.size - place.params.size, 1)
    tolerance = 1e-5 / np.sqrt(max(place.chi2, dof))
    args = (place.params, scale, size, data)
    start = np.zeros_like(scale)
    z, evaluations, said = _SEARCHES[method](start, args, tolerance, model)
    return place.params + scale * z, evaluations, said


def _fit(profile, start, model, method, rounds=10):
    """Run the search of :func:`fit` on checked input, and judge where it ends."""
    data = tuple(map(jnp.asarray, profile))
    best, evaluations, said = _look(start, profile, model), 0, ""
    movable = np.isfinite(best.chi2) and np.all(np.isfinite(best.norms))
    for _ in range(rounds if movable else 0):  # one does, from a fair start
        params, count, said = _search(best, data, model, method)
        evaluations += count
        trial = _look(params, profile, model)
        lower = trial.chi2 < best.chi2
        if lower or trial.to_go < best.to_go:
            best = trial
        if best.to_go < best.enough or not lower:
            break
    if best.to_go < best.enough:  # what the search left of it, to the last digits
        nearer = _look(best.params + best.step, profile, model)
        best = nearer if nearer.to_go < best.to_go else best
    for k in np.flatnonzero(best.params < 0):
        mirrored = np.where(np.arange(start.size) == k, -best.params, best.params)
        mirror = _look(mirrored, profile, model)
        change = np.max(np.abs(mirror.values - best.values))
        if change <= 1e-13 * np.max(np.abs(best.values)):
            best = mirror
    converged = bool(best.to_go < best.enough)
    if not movable:
        message = "chi squared or its derivatives are not finite at start"
    elif np.isfinite(best.to_go):
        message = f"chi squared {best.to_go:.1e} above the minimum (optimizer: {said})"
    else:
        message = f"no minimum: Hessian not positive definite (optimizer: {said})"
    if not converged:
        warnings.warn(f"fit did not converge: {message}", RuntimeWarning, stacklevel=3)
    dof = profile.x.size - start.size
    if dof > 0 and best.chi2 < min(dof / 100, stats.chi2.ppf(1e-6, dof)):
        warnings.warn(
            f"chi squared is {best.chi2:.2g} for {dof} degrees of freedom: error bars "
            "are far too large or missing, and so are those of the parameters",
            RuntimeWarning,
            stacklevel=3,
        )
    return Fit(best.params, best.cov, best.chi2, evaluations, converged, message)
