"""The posterior of the double Gaussian: models, starting points, one sampler run."""

import warnings

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, init_to_uniform
from numpyro.infer.util import unconstrain_fn
from scipy.optimize import minimize

from jaxbayes.data import check_profile
from jaxbayes.fitting import chi2, fisher_information
from jaxbayes.models import double_gaussian
from jaxbayes.priors import OrderedUniform

#: Lower ends of the priors of both models, in the order of the parameters.
LOW = np.array([1, -4, 0.5] * 2)
#: Upper ends of the priors of both models, in the order of the parameters.
HIGH = np.array([3, 4, 1.5] * 2)
#: The names of the sample sites of both models.
SITES = ("amplitude", "mean", "width")
#: The ways in which :func:`sample` can run several chains.
CHAIN_METHODS = ("sequential", "parallel", "vectorized")


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
    mean = numpyro.sample("mean", OrderedUniform(-4, 4))
    curve = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(curve, yerr), obs=y)


def starting_points(profile, seed, chains=4):
    """Find where the posterior is, and scatter starting points around it.

    Draws a thousand points from the prior, fits from the best few of them within
    the prior's bounds, and keeps the lowest fit: a local minimum wins only if it
    catches all of them. Around it, draws from a Gaussian twice as wide as the
    posterior is expected to be, and keeps what the prior allows: far enough apart
    for R-hat to show chains that do not come together.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        seed: integer or :class:`numpy.random.Generator`.
        chains: how many points, at least 1.

    Returns:
        Dictionary of float64 arrays of shape ``(chains, 2)``, ``"amplitude"``,
        ``"mean"`` (increasing along the last axis) and ``"width"``.

    Raises:
        ValueError: if the data are not as above, or ``chains`` is less than 1.
        TypeError: if ``seed`` is None.

    Example:
        >>> from jaxbayes.data import simulate
        >>> start = starting_points(simulate(0), 0, chains=3)
        >>> start["mean"].shape, bool(np.all(np.diff(start["mean"]) > 0))
        ((3, 2), True)
    """
    profile = check_profile(profile)
    if chains < 1:
        raise ValueError(f"chains must be at least 1, got {chains}")
    if seed is None:
        raise TypeError("seed must be an integer or a generator, got None")
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        best = _best_fit(profile, rng)
        of_data = np.asarray(fisher_information(best, profile.x, profile.yerr))
    # that of the prior keeps the inverse finite where the data say little
    of_prior = np.diag(12 / (HIGH - LOW) ** 2)
    cov = np.linalg.inv(of_data + of_prior)
    width, points = 2.0, np.empty((0, 6))
    while len(points) < chains:
        draws = rng.multivariate_normal(best, width**2 * cov, 100 * chains)
        allowed = np.all((draws > LOW) & (draws < HIGH), axis=1)
        allowed &= draws[:, 1] < draws[:, 4]
        points = np.concatenate([points, draws[allowed]])
        width *= 0.9  # at the prior's edge, the Gaussian may hardly fit in
    pairs = points[:chains].reshape(chains, 2, 3)
    return {name: pairs[..., i] for i, name in enumerate(SITES)}


_chi2_of_many = jax.jit(jax.vmap(chi2, in_axes=(0, None, None, None)))
_value_and_grad = jax.jit(jax.value_and_grad(chi2))


def _best_fit(profile, rng, tries=1000, fits=5, points=500):
    """Return the lowest of a few fits, with its means in order, off the bounds."""
    some = rng.permutation(len(profile.x))[:points]  # enough to choose starts by
    draws = rng.uniform(LOW, HIGH, (tries, 6))
    prices = _chi2_of_many(draws, *(values[some] for values in profile))
    found = [
        minimize(
            _value_and_grad,
            draws[i],
            args=tuple(profile),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(LOW, HIGH, strict=True)),
        )
        for i in np.argsort(prices)[:fits]
    ]
    pairs = min(found, key=lambda one: one.fun).x.reshape(2, 3)
    best = pairs[np.argsort(pairs[:, 1])].ravel()
    margin = 1e-4 * (HIGH - LOW)
    return np.clip(best, LOW + margin, HIGH - margin)


def sample(
    model,
    profile,
    seed,
    *,
    start=None,
    num_chains=4,
    num_warmup=500,
    num_samples=1500,
    target_accept=0.98,
    dense_mass=True,
    chain_method="sequential",
):
    """Draw from a posterior by NUTS, and say so if the draws are not to be trusted.

    Compiles anew at each call, and waits until the draws are there.

    Args:
        model: a NumPyro model, called as ``model(x, y, yerr)``, such as
            :func:`free_model` or :func:`ordered_model`.
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        seed: integer, for the starting points and for NUTS.
        start: where the chains begin: a dictionary of arrays of shape
            ``(num_chains, ...)``, one for each latent site of the model, or one of
            NumPyro's strategies, such as
            :func:`numpyro.infer.initialization.init_to_median`. By default
            :func:`starting_points`.
        num_chains: how many chains.
        num_warmup: how many steps of each chain to adapt in, and drop.
        num_samples: how many draws of each chain to keep.
        target_accept: the mean acceptance probability to adapt the step size to.
            NumPyro's own default is 0.8: longer steps, which diverge in the thin
            ends of this posterior.
        dense_mass: whether the mass matrix has off-diagonal elements.
        chain_method: ``"sequential"``, ``"parallel"`` (each chain on a device of
            its own) or ``"vectorized"``. The draws depend on it.

    Returns:
        ArviZ's :class:`xarray.DataTree` with groups ``posterior``, ``sample_stats``
        and ``observed_data``; its numbers are NumPy arrays.

    Raises:
        ValueError: if an argument is not as above.
        TypeError: if ``seed`` is not an integer.

    Warns:
        RuntimeWarning: once, with numbers and advice, if a transition diverged, if
            the R-hat of a parameter is above 1.01, or if its bulk effective sample
            size is below 100 a chain; with fewer, R-hat and the error bars of means
            are themselves uncertain (Vehtari et al. 2021).

    Example:
        >>> from jaxbayes.data import simulate
        >>> tree = sample(ordered_model, simulate(0, 300, noise=0.05), 0)
        >>> mean = tree.posterior["mean"]
        >>> print(mean.dims, mean.shape)
        ('chain', 'draw', 'component') (4, 1500, 2)
    """
    profile = check_profile(profile)
    if not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an integer, got {type(seed).__name__}")
    if not isinstance(num_chains, int) or num_chains < 1:
        raise ValueError(f"num_chains must be a positive integer, got {num_chains}")
    if not 0 < target_accept < 1:
        raise ValueError(f"target_accept must be between 0 and 1, got {target_accept}")
    if chain_method not in CHAIN_METHODS:
        raise ValueError(
            f"chain_method must be one of {CHAIN_METHODS}, got {chain_method!r}"
        )
    mcmc = MCMC(
        NUTS(
            model,
            dense_mass=dense_mass,
            target_accept_prob=target_accept,
            init_strategy=start if callable(start) else init_to_uniform,
        ),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        chain_method=chain_method,
        progress_bar=False,
    )
    if start is None:
        start = starting_points(profile, seed, num_chains)
    begin = None if callable(start) else _unconstrain(start, model, profile, num_chains)
    fields = ("accept_prob", "diverging", "energy", "num_steps", "potential_energy")
    mcmc.run(jax.random.key(seed), *profile, extra_fields=fields, init_params=begin)
    dims = {name: ["component"] for name in SITES} | {"y": ["point"]}
    tree = arviz.from_numpyro(mcmc, dims=dims)
    tree = tree.map_over_datasets(lambda group: group.as_numpy())  # waits
    complaints = _complaints(tree)
    if complaints:
        message = "do not trust these draws: " + "; ".join(complaints)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return tree


def _unconstrain(start, model, profile, num_chains):
    """Check starting points, and map them to the space in which NUTS moves."""
    if not isinstance(start, dict):
        raise ValueError(f"start must be a dictionary or a strategy, got {start!r}")
    try:
        trace = handlers.trace(handlers.seed(model, 0)).get_trace(*profile)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"model cannot be called with (x, y, yerr): {error}"
        ) from error
    shapes = {
        name: (num_chains, *jnp.shape(site["value"]))
        for name, site in trace.items()
        if site["type"] == "sample" and not site["is_observed"]
    }
    got = {name: np.shape(value) for name, value in start.items()}
    if got != shapes:
        raise ValueError(f"start must have the shapes {shapes}, got {got}")

    def one(values):
        return unconstrain_fn(model, tuple(profile), {}, values)

    values = {name: np.asarray(value, dtype=float) for name, value in start.items()}
    begin = jax.vmap(one)(values)
    for name, value in begin.items():
        if not np.all(np.isfinite(value)):
            raise ValueError(f"start must lie within the prior of {name}")
    return {name: v[0] for name, v in begin.items()} if num_chains == 1 else begin


def _complaints(tree):
    """List what is wrong with a run, each with what to do about it."""
    found = []
    diverging = tree.sample_stats["diverging"].values
    if np.any(diverging):
        found.append(
            f"{np.sum(diverging)} of {diverging.size} transitions diverged "
            "(raise target_accept, or reparameterize)"
        )
    rhat, ess = _by_parameter(arviz.rhat(tree)), _by_parameter(arviz.ess(tree))
    name = max(rhat, key=lambda name: np.nan_to_num(rhat[name], nan=np.inf))
    if not rhat[name] <= 1.01:
        found.append(
            f"R-hat is {rhat[name]:.3f} for {name} (see where each chain sits: "
            "draw more if they overlap, change the model or the start if they do not)"
        )
    name = min(ess, key=lambda name: np.nan_to_num(ess[name], nan=-np.inf))
    enough = 100 * len(diverging)
    if not ess[name] >= enough:
        found.append(
            f"bulk ESS is {ess[name]:.0f} for {name}, below {enough} (draw more)"
        )
    return found


def _by_parameter(values):
    """Flatten what ArviZ computes of each variable into a dictionary of numbers."""
    return {
        name + "".join(f"[{i}]" for i in index): float(value)
        for name, array in values.data_vars.items()
        for index, value in np.ndenumerate(array)
    }
