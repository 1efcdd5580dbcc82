"""The posterior of the double Gaussian: models, starting points, one sampler run."""

import warnings

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from numpyro.infer.initialization import init_to_uniform
from numpyro.infer.util import unconstrain_fn
from scipy.optimize import minimize

from jaxbayes.data import check_profile
from jaxbayes.fitting import chi2, fisher_information
from jaxbayes.models import double_gaussian
from jaxbayes.priors import OrderedUniform

SITES = ("amplitude", "mean", "width")
#: The ends of the priors of both models, in the order of the parameters.
LOW, HIGH = np.array([1, -4, 0.5] * 2), np.array([3, 4, 1.5] * 2)
CHAIN_METHODS = ("sequential", "parallel", "vectorized")


def to_params(amplitude, mean, width):
    """Put the values of two Gaussians into the order of the parameters.

    Args:
        amplitude: array of shape ``(..., 2)``.
        mean: array of shape ``(..., 2)``.
        width: array of shape ``(..., 2)``.

    Returns:
        JAX array of shape ``(..., 6)``: ``(a0, x0, s0, a1, x1, s1)``.

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
    profile = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(profile, yerr), obs=y)


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
    profile = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(profile, yerr), obs=y)


def starting_points(profile, seed, chains=4):
    """Find where the posterior is, and scatter starting points around it.

    Draws a thousand points from the prior, fits from the best few within the
    prior's bounds, and takes the best fit. Around it draws from a Gaussian of
    twice the posterior's expected spread, keeping what the prior allows: wide
    enough for R-hat to notice chains that do not come together.

    Args:
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        seed: integer or :class:`numpy.random.Generator`.
        chains: how many points, at least 1.

    Returns:
        Dictionary of float64 arrays of shape ``(chains, 2)``: ``"amplitude"``,
        ``"mean"``, increasing along the last axis, and ``"width"``.

    Raises:
        ValueError: if the data are not as above, or ``chains`` is less than 1.

    Example:
        >>> from jaxbayes.data import simulate
        >>> start = starting_points(simulate(0), 0, chains=3)
        >>> start["mean"].shape, bool(np.all(np.diff(start["mean"]) > 0))
        ((3, 2), True)
    """
    profile = check_profile(profile)
    if chains < 1:
        raise ValueError(f"chains must be at least 1, got {chains}")
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        best = _best_fit(profile, rng)
        fisher = np.asarray(fisher_information(best, profile.x, profile.yerr))
    # the prior's own variance keeps the inverse finite where the data say little
    cov = np.linalg.inv(fisher + np.diag(12 / (HIGH - LOW) ** 2))
    spread, points = 2.0, np.empty((0, 6))
    while len(points) < chains:
        draws = rng.multivariate_normal(best, spread**2 * cov, 100 * chains)
        allowed = np.all((draws > LOW) & (draws < HIGH), axis=1)
        allowed &= draws[:, 1] < draws[:, 4]
        points = np.concatenate([points, draws[allowed]])
        spread *= 0.9
    pairs = points[:chains].reshape(chains, 2, 3)
    return {name: pairs[..., i] for i, name in enumerate(SITES)}


_chi2_of_many = jax.jit(jax.vmap(chi2, in_axes=(0, None, None, None)))
_value_and_grad = jax.jit(jax.value_and_grad(chi2))


def _best_fit(profile, rng, tries=1000, fits=5):
    """Return the lowest of a few fits within the prior's bounds, means in order."""
    step = max(1, len(profile.x) // 500)
    few = [values[::step] for values in profile]
    draws = rng.uniform(LOW, HIGH, (tries, 6))
    found = [
        minimize(
            _value_and_grad,
            draws[i],
            args=tuple(profile),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(LOW, HIGH, strict=True)),
        )
        for i in np.argsort(_chi2_of_many(draws, *few))[:fits]
    ]
    pairs = min(found, key=lambda one: one.fun).x.reshape(2, 3)
    best = pairs[np.argsort(pairs[:, 1])].ravel()
    margin = 1e-3 * (HIGH - LOW)
    return np.clip(best, LOW + margin, HIGH - margin)


def sample(
    model,
    profile,
    seed,
    *,
    start=None,
    num_chains=4,
    num_warmup=500,
    num_samples=1000,
    dense_mass=True,
    chain_method="sequential",
):
    """Draw from a posterior by NUTS, and say so if the draws are not to be trusted.

    Waits until the draws are there.

    Args:
        model: a NumPyro model called as ``model(x, y, yerr)``, such as
            :func:`free_model` or :func:`ordered_model`.
        profile: ``(x, y, yerr)``, see :func:`jaxbayes.data.check_profile`.
        seed: integer, for the starting points and for NUTS.
        start: where the chains begin: a dictionary of arrays of shape
            ``(num_chains, ...)``, one for each latent site of the model, or one of
            NumPyro's strategies, such as :func:`numpyro.infer.init_to_median`.
            By default :func:`starting_points`.
        num_chains: how many chains.
        num_warmup: how many steps of each chain to adapt in, and drop.
        num_samples: how many draws of each chain to keep.
        dense_mass: whether the mass matrix has off-diagonal elements.
        chain_method: ``"sequential"``, ``"parallel"`` (a device for each) or
            ``"vectorized"``; the draws depend on it.

    Returns:
        ArviZ's :class:`xarray.DataTree`, with the groups ``posterior``,
        ``sample_stats`` and ``observed_data``.

    Raises:
        ValueError: if an argument is not as above.

    Warns:
        RuntimeWarning: once, with numbers and advice, if a transition diverged, if
            R-hat of any parameter is above 1.01, or if its bulk effective sample
            size is below 100 a chain, where R-hat and the error bars of means
            cannot be relied on (Vehtari et al. 2021).
    """
    profile = check_profile(profile)
    if chain_method not in CHAIN_METHODS:
        raise ValueError(
            f"chain_method must be one of {CHAIN_METHODS}, got {chain_method!r}"
        )
    if start is None:
        start = starting_points(profile, seed, num_chains)
    strategy, start = (start, None) if callable(start) else (init_to_uniform, start)
    if start is not None:
        start = _unconstrained(model, profile, start, num_chains)
    mcmc = MCMC(
        NUTS(model, dense_mass=dense_mass, init_strategy=strategy),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        chain_method=chain_method,
        progress_bar=False,
    )
    fields = ("accept_prob", "diverging", "energy", "num_steps", "potential_energy")
    mcmc.run(jax.random.key(seed), *profile, extra_fields=fields, init_params=start)
    dims = {name: ["component"] for name in SITES}
    tree = arviz.from_numpyro(mcmc, dims=dims)  # copies, so it waits
    message = _complaint(tree)
    if message:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return tree


def _unconstrained(model, profile, start, num_chains):
    """Map starting points to the space in which NUTS moves, one row a chain."""
    start = {name: jnp.asarray(value, dtype=float) for name, value in start.items()}

    def one(values):
        return unconstrain_fn(model, tuple(profile), {}, values)

    if num_chains == 1:
        return one({name: value[0] for name, value in start.items()})
    return jax.vmap(one)(start)


def _complaint(tree):
    """Say what is wrong with a run in one sentence, or nothing if nothing is."""
    chains = tree.posterior.sizes["chain"]
    diverging = int(tree.sample_stats["diverging"].sum())
    rhat = max(float(v.max()) for v in arviz.rhat(tree).data_vars.values())
    ess = min(float(v.min()) for v in arviz.ess(tree).data_vars.values())
    found = []
    if diverging:
        found.append(f"{diverging} divergences")
    if not rhat <= 1.01:
        found.append(f"R-hat {rhat:.3f}")
    if not ess >= 100 * chains:
        found.append(f"bulk ESS {ess:.0f}")
    return "do not trust these draws: " + ", ".join(found) if found else ""
