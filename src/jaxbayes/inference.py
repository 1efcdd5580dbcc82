"""Posteriors of any NumPyro model: where to start, NUTS, importance sampling."""

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from arviz_stats.base import array_stats
from jax import lax
from numpyro.infer import init_to_sample
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo
from scipy.special import gammaln, logsumexp
from tqdm.auto import tqdm

from jaxbayes import _checkpoint, _complaints, _density
from jaxbayes.timing import cores

#: The ways in which :func:`sample` can run several chains.
CHAIN_METHODS = ("sequential", "parallel", "vectorized")
#: How far, in the log of its estimated weight, an optimum may lie below the best
#: one for chains to start at it: a rival of less than exp(-10) is left out.
REACH = 10.0
#: The most parameters for which optima are searched, by second derivatives.
MOST_PARAMETERS = 100
# compile soon rather than well, what runs once
_SOON = {"xla_backend_optimization_level": 0}
# draws of the prior, searches, and their steps
_TRIES, _SEARCHES, _MOST_STEPS = 1024, 16, 200
# of importance sampling: rounds, components, degrees of freedom, share of the widest
_ROUNDS, _COMPONENTS, _FREEDOM, _GUARD = 10, 12, 3, 0.2
_BLOCK = 500  # the most draws of a chain at a time


class Optima(NamedTuple):
    """The distinct optima that searches found, the weightiest first.

    Attributes:
        params: dictionary of arrays of shape ``(M, ...)``, the sites' values there.
        log_density: array of shape ``(M,)``, the log density there, unnormalized,
            in NumPyro's unconstrained space.
        log_weight: array of shape ``(M,)``, the log of each one's share of the
            posterior by Laplace's approximation, relative to the first.
        searches: integer array of shape ``(M,)``, how many searches ended there.
        position: array of shape ``(M, P)``, each as a vector of the unconstrained
            values, sites in the order of their names.
        covariance: array of shape ``(M, P, P)``, the inverse of the curvature of
            minus the log density there.
    """

    params: dict
    log_density: np.ndarray
    log_weight: np.ndarray
    searches: np.ndarray
    position: np.ndarray
    covariance: np.ndarray


class Starts(NamedTuple):
    """Where chains start.

    Attributes:
        params: dictionary of arrays of shape ``(num_chains, ...)``, the sites'
            values.
        optimum: integer array of shape ``(num_chains,)``, the place in ``optima`` of
            the optimum that each is scattered about; -1 for a draw of the prior.
        optima: the :class:`Optima` that were found, those left out included.
        position: array of shape ``(num_chains, P)``, as in :class:`Optima`.
        covariance: array of shape ``(num_chains, P, P)``, that of the optimum.
    """

    params: dict
    optimum: np.ndarray
    optima: Optima
    position: np.ndarray
    covariance: np.ndarray


@functools.partial(
    jax.jit, static_argnames=("density", "strategy"), compiler_options=_SOON
)
def _by_strategy(keys, arrays, density, strategy=init_to_sample):
    """Return the vectors at which a strategy of NumPyro starts."""
    start = functools.partial(_density.start_by, density, arrays, strategy)
    return lax.map(start, keys)


def _keys(seed, purpose, number):
    """Make keys of JAX's random numbers, without a program to compile."""
    bits = np.random.SeedSequence([seed, purpose]).generate_state(2 * number)
    return jax.random.wrap_key_data(bits.reshape(number, 2))


def _prior(seed, arrays, density):
    """Draw vectors from the prior."""
    draws = np.asarray(_by_strategy(_keys(seed, 0, _TRIES), arrays, density))
    draws = draws[np.all(np.isfinite(draws), axis=1)]
    return np.resize(draws, (_TRIES, _density.size(density)))


@functools.partial(
    jax.jit, static_argnames=("density", "batch"), compiler_options=_SOON
)
def _log_likelihoods(points, arrays, density, batch):
    """Return the log likelihoods at vectors, a few at once."""
    one = functools.partial(_density.log_likelihood, density, arrays)
    return lax.map(one, points, batch_size=batch)


def _by_likelihood(draws, number, rng, density, arrays, batch):
    """Choose among draws of the prior, with probabilities as their likelihoods."""
    values = np.asarray(_log_likelihoods(draws, arrays, density, batch))
    values = np.where(np.isnan(values), -np.inf, values)
    # the largest sums with Gumbel's noise are such draws, without replacement
    order = np.argsort(-(values + rng.gumbel(size=len(values))), kind="stable")
    return np.resize(draws[order[:number]], (number, draws.shape[1]))


@functools.partial(jax.jit, static_argnames=("density", "batch"))
def _potentials(points, arrays, density, batch):
    """Return minus the log densities at vectors, a few at once."""
    one = functools.partial(_density.potential, density, arrays)
    return lax.map(one, points, batch_size=batch)


def _in_blocks(points, arrays, density, batch):
    """Return minus the log densities of any number of vectors, by one program."""
    blocks = -(-len(points) // _TRIES)
    padded = np.resize(points, (blocks, _TRIES, points.shape[1]))
    values = [_potentials(block, arrays, density, batch) for block in padded]
    return np.concatenate(values)[: len(points)]


@functools.partial(jax.jit, static_argnames="density")
def _first_gradients(points, number, arrays, density):
    """Return minus the log densities, and gradients, at the first so many vectors."""
    one = jax.value_and_grad(functools.partial(_density.potential, density, arrays))

    def body(i, found):
        put = functools.partial(lax.dynamic_update_index_in_dim, index=i, axis=0)
        return jax.tree.map(put, found, one(points[i]))

    return lax.fori_loop(0, number, body, (points[:, 0], points))


def _gradients(points, arrays, density):
    """Return minus the log densities, and gradients, at vectors.

    One program does for as many as the searches look at together.
    """
    number, size = points.shape
    most = _SEARCHES * (2 * min(size, MOST_PARAMETERS) + 1)
    padded = np.resize(points, (max(most, number), size))
    found = _first_gradients(padded, number, arrays, density)
    return [np.array(one)[:number] for one in found]


def _descend(starts, scale, arrays, density):
    """Minimize by Newton steps: damped, the Hessian's eigenvalues made positive.

    The Hessian is taken from central differences of the gradient over a small part
    of the width that it has itself: as good as exact, and sooner compiled.

    Returns places, minus log densities, covariances, log determinants of these, and
    whether each place is a minimum.
    """

    def look(u, width):
        step = 1e-4 * width[:, None] * np.eye(len(scale))
        points = u[:, None] + np.concatenate(
            [np.zeros((len(u), 1, len(scale))), step, -step], axis=1
        )
        values, grads = _gradients(
            scale * points.reshape(-1, len(scale)), arrays, density
        )
        values, grads = values.reshape(len(u), -1), scale * grads.reshape(points.shape)
        up, down = np.split(grads[:, 1:], 2, axis=1)
        hessian = (up - down) / (2e-4 * width[:, :, None])
        hessian = (hessian + hessian.transpose(0, 2, 1)) / 2
        return values[:, 0], grads[:, 0], np.nan_to_num(hessian, nan=np.inf)

    u = starts / scale
    with np.errstate(all="ignore"):
        value, grad, hessian = look(u, np.full(u.shape, 0.7))
        active = np.isfinite(value) & np.all(np.isfinite(hessian), axis=(1, 2))
        hessian[~active] = np.eye(len(scale))
        damping = 0.01 * np.max(np.abs(hessian), axis=(1, 2))
        remaining = np.full(len(u), np.inf)
        for _ in range(_MOST_STEPS):
            now = np.flatnonzero(active)
            lam, axes = np.linalg.eigh(hessian[now])
            along = (grad[now, None] @ axes)[:, 0]
            remaining[now] = np.sum(along**2 / (np.abs(lam) + 1e-8), axis=1) / 2
            stuck = damping > 1e12 * (1 + np.max(np.abs(hessian), axis=(1, 2)))
            active &= (remaining > 1e-10) & ~stuck
            go = active[now]
            if not np.any(go):
                break
            now, lam, axes, along = now[go], lam[go], axes[go], along[go]
            step = along / (np.abs(lam) + damping[now, None])
            new_u = u[now] - (axes @ step[:, :, None])[:, :, 0]
            width = 1 / np.sqrt(np.abs(np.einsum("kii->ki", hessian[now])) + 1)
            new = look(new_u, width)
            good = (new[0] < value[now]) & np.all(np.isfinite(new[2]), axis=(1, 2))
            damping[now] *= np.where(good, 0.1, 8.0)
            for old, better in zip(
                (u, value, grad, hessian), (new_u, *new), strict=True
            ):
                old[now[good]] = better[good]
    lam, axes = np.linalg.eigh(hessian)
    minimum = (remaining < 1e-6) & (lam[:, 0] > 1e-6)
    lam = np.maximum(lam, 1e-6)
    half = scale[:, None] * axes / np.sqrt(lam)[:, None]
    log_det = 2 * np.sum(np.log(scale)) - np.sum(np.log(lam), axis=1)
    return scale * u, value, half @ half.transpose(0, 2, 1), log_det, minimum


def _search(model, data, seed):
    """Look at a model and find its optima.

    Returns its density and arrays, how many points to evaluate at once, draws of the
    prior, and the :class:`Optima`, which may be none.
    """
    density, arrays = _density.describe(model, data)
    points = max(1, sum(array.size for array in arrays))
    batch = int(np.clip(1_000_000 / points, 1, 16))
    draws = _prior(seed, arrays, density)
    values = _in_blocks(draws, arrays, density, batch)
    if not np.any(np.isfinite(values)):
        raise ValueError(
            "model has no finite density at any of "
            f"{_TRIES} draws of its prior; {_whats_odd(arrays)}"
        )
    # the best of each of many groups: good, and not all in one place
    groups = np.arange(_TRIES).reshape(_SEARCHES, -1)
    lowest = np.argmin(np.where(np.isfinite(values), values, np.inf)[groups], axis=1)
    best = draws[groups[np.arange(_SEARCHES), lowest]]
    found = None
    if draws.shape[1] <= MOST_PARAMETERS:
        found = _descend(best, _scale(draws), arrays, density)
    return density, arrays, batch, draws, _distinct(found, density, arrays)


def _scale(draws):
    """Return the width of draws in each direction, positive."""
    scale = np.subtract(*np.quantile(draws, [0.84, 0.16], axis=0)) / 2
    return np.where(scale > 0, scale, 1.0)


def _whats_odd(arrays):
    """Say which of the data are not finite."""
    for i, array in enumerate(arrays):
        if not np.all(np.isfinite(array)):
            where = np.argwhere(~np.isfinite(array))[0]
            index = ", ".join(map(str, where))
            return f"array {i} of the data has {array[tuple(where)]} at index {index}"
    return "all data are finite: look at the supports and the likelihood"


@functools.partial(
    jax.jit, static_argnames=("density", "all_sites"), compiler_options=_SOON
)
def _constrain(points, arrays, density, all_sites):
    """Return the values of the latent, or of all, sites at a block of vectors."""
    one = functools.partial(_density.constrain, density, arrays, all_sites=all_sites)
    return lax.map(one, points)


def _values(density, arrays, points, *, all_sites=False):
    """Return the values of the latent, or of all, sites at vectors."""
    block = 128  # so that one program does for all
    padded = np.resize(points, (-(-len(points) // block), block, points.shape[1]))
    all_sites = all_sites and density.computed
    parts = [_constrain(part, arrays, density, all_sites) for part in padded]
    return {
        name: np.concatenate([part[name] for part in parts])[: len(points)]
        for name in parts[0]
    }


def _distinct(found, density, arrays):
    """Keep each minimum once, the weightiest first."""
    if found is None or not np.any(found[4]):
        size = _density.size(density)
        none = np.empty((0, size))
        return Optima({}, *np.empty((3, 0)), none, np.empty((0, size, size)))
    places, values, covariances, log_dets, minimum = found
    kept, searches = [], []
    for i in np.flatnonzero(minimum)[np.argsort(values[minimum])]:
        for k, j in enumerate(kept):
            apart = places[i] - places[j]
            far = apart @ np.linalg.solve(covariances[j], apart)
            if far < 1e-3 and abs(values[i] - values[j]) < 1e-3:
                searches[k] += 1
                break
        else:
            kept.append(i)
            searches.append(1)
    weight = -values[kept] + log_dets[kept] / 2
    order = np.argsort(-weight)
    kept = np.array(kept)[order]
    return Optima(
        params=_values(density, arrays, places[kept]),
        log_density=-values[kept],
        log_weight=weight[order] - np.max(weight),
        searches=np.array(searches)[order],
        position=places[kept],
        covariance=covariances[kept],
    )


def starting_points(model, data, seed, *, num_chains=4):
    """Find where a posterior is, and scatter starting points about it.

    Draws a thousand points from the model's own prior, improves the best of each of
    16 groups of them, by Newton's method in NumPyro's unconstrained space and in
    double precision, and keeps the distinct optima. Chains start at different optima
    where several are within :data:`REACH` of each other, in the log of the share of
    the posterior that Laplace's approximation gives them; about each, at points drawn
    from a Gaussian twice as wide as the posterior is expected to be, far enough apart
    for R-hat to show chains that do not come together.

    A model without an optimum, such as a centered hierarchy, or with more than
    :data:`MOST_PARAMETERS` parameters, starts at draws of its prior, chosen with
    probabilities proportional to their likelihoods.

    Args:
        model: a NumPyro model; what it reads from outside its arguments stays as at
            its first use, since it is compiled once for each shape of the data.
        data: the tuple of the model's arguments, for example a
            :class:`jaxbayes.data.Profile`. Arrays, lists and floats may change from
            one call to the next without compiling anew.
        seed: integer.
        num_chains: how many points, at least 1.

    Returns:
        :class:`Starts`, with the :class:`Optima`, those left out included; all
        arrays float64.

    Raises:
        ValueError: if the model cannot be called with the data, has no latent site
            or a discrete one, or no finite density at any draw of its prior; if the
            data have masked values or units.
        TypeError: if ``data`` is not a tuple or ``seed`` not an integer.

    Example:
        >>> from jaxbayes.data import simulate
        >>> from jaxbayes.models import free_model
        >>> starts = starting_points(free_model, simulate(0, 200), 0)
        >>> starts.params["mean"].shape
        (4, 2)
        >>> sorted(starts.optimum.tolist())  # two labelings, equally good
        [0, 0, 1, 1]
    """
    _check_integer("seed", seed, 0)
    _check_integer("num_chains", num_chains, 1)
    with jax.enable_x64(True):
        density, arrays, batch, draws, optima = _search(model, data, seed)
        rng = np.random.default_rng(seed)
        if not len(optima.log_weight):
            position = _by_likelihood(draws, num_chains, rng, density, arrays, batch)
            optimum = np.full(num_chains, -1)
            covariance = np.tile(np.diag(_scale(draws) ** 2), (num_chains, 1, 1))
        else:
            within = np.flatnonzero(optima.log_weight > -REACH)
            optimum = np.resize(within, num_chains)
            covariance = optima.covariance[optimum]
            position = _scatter(optima, optimum, rng, density, arrays, batch)
        params = _values(density, arrays, position)
        return Starts(params, optimum, optima, position, covariance)


def _check_integer(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _scatter(optima, optimum, rng, density, arrays, batch):
    """Draw a point for each chain, twice as far from its optimum as a draw would be.

    Where the posterior is no Gaussian such a point may be hopelessly low: then nearer.
    """
    size = optima.position.shape[1]
    width = 2 * 0.8 ** np.arange(16)
    noise = rng.standard_normal((len(optimum), 16, size)) * width[:, None]
    half = np.linalg.cholesky(optima.covariance[optimum])
    points = np.einsum("cij,ckj->cki", half, noise)
    points += optima.position[optimum][:, None]
    values = _in_blocks(points.reshape(-1, size), arrays, density, batch)
    drop = values.reshape(len(optimum), 16) + optima.log_density[optimum][:, None]
    near = drop < 2 * width**2 * size + 10
    first = np.where(np.any(near, axis=1), np.argmax(near, axis=1), 15)
    return points[np.arange(len(optimum)), first]


def importance(model, data, seed, *, num_samples=10_000):
    """Draw independently from a posterior by importance sampling.

    A mixture of multivariate t distributions with 3 degrees of freedom, at first one
    at each optimum within :data:`REACH`, somewhat wider than Laplace's
    approximation, is fitted to the posterior in a few rounds of adaptive importance
    sampling with truncated weights (Ionides 2008; Cappé et al. 2008). From the last
    one, points are drawn until their weights are worth ``num_samples`` independent
    draws; the weights are smoothed (PSIS, Vehtari et al. 2024) and exchanged for
    equal ones. All of it in double precision. Compiles once for each model and shape
    of the data.

    Args:
        model: a NumPyro model, as in :func:`starting_points`.
        data: the tuple of the model's arguments.
        seed: integer.
        num_samples: how many draws to return, at least 100.

    Returns:
        ArviZ's :class:`xarray.DataTree` with groups ``posterior`` (one chain),
        ``sample_stats`` with ``lp``, the log density of each draw, and single numbers:
        ``ess``, Kish's effective number of draws, ``khat``, the tail index of the
        weights, ``num_proposals``, and ``log_evidence``, the log of the mean of
        likelihood times prior over proposal, with its standard error
        ``log_evidence_error``; ``observed_data``, and ``optima``, the
        :class:`Optima`. The evidence is that of the model's own priors: one that
        does not integrate to one, such as an improper prior, makes it meaningless.

    Raises:
        ValueError: as :func:`starting_points`; if the model has more than
            :data:`MOST_PARAMETERS` parameters, or no optimum was found.
        TypeError: as :func:`starting_points`.

    Warns:
        RuntimeWarning: if k-hat is above 0.7, the weights being too uneven to be
            believed, or if there is a second optimum within :data:`REACH`, with its
            weight.

    Example:
        >>> from jaxbayes.data import simulate
        >>> from jaxbayes.models import ordered_model
        >>> tree = importance(ordered_model, simulate(0, 300, noise=0.05), 0)
        >>> tree.posterior["mean"].shape
        (1, 10000, 2)
        >>> bool(tree.sample_stats["khat"] < 0.7)
        True
    """
    _check_integer("seed", seed, 0)
    _check_integer("num_samples", num_samples, 100)
    with jax.enable_x64(True):
        density, arrays, batch, _, optima = _search(model, data, seed)
        if not len(optima.log_weight):
            raise ValueError(
                "model has no optimum to begin with (a hierarchy, parameters that the "
                "data leave open, numbers of very unlike size), or more than "
                f"{MOST_PARAMETERS} parameters: draw with sample"
            )
        rng = np.random.default_rng(seed)

        def propose(number):
            blocks = int(np.clip(np.ceil(number / _TRIES), 1, 100))
            points, log_q, share = _draw(rng, mixture, blocks * _TRIES)
            lp = -_in_blocks(points, arrays, density, batch)
            return points, lp, lp - log_q, share

        mixture = _first_mixture(optima)
        modes = len(mixture.weight)
        enough = _TRIES * modes * (1 + np.ceil(optima.position.shape[1] / 6))
        for _ in range(_ROUNDS):
            points, _, log_weight, share = propose(enough)
            mixture = _refit(rng, points, log_weight, share, mixture, modes)
        efficiency = max(_kish(log_weight) / len(points), 0.2)
        points, lp, log_weight, _ = propose(1.05 * num_samples / efficiency)
        while _kish(log_weight) < num_samples and len(points) < 50 * num_samples:
            efficiency = max(_kish(log_weight) / len(points), 0.01)
            more = propose(1.05 * num_samples / efficiency - len(points))
            points = np.concatenate([points, more[0]])
            lp, log_weight = np.append(lp, more[1]), np.append(log_weight, more[2])
        chosen, ess, khat = _equal_weights(rng, log_weight, num_samples)
        stats = {
            "lp": lp[chosen][None],
            "ess": ess,
            "khat": khat,
            "num_proposals": len(points),
            "log_evidence": logsumexp(log_weight) - np.log(len(points)),
            "log_evidence_error": np.sqrt(1 / _kish(log_weight) - 1 / len(points)),
        }
        tree = _tree(density, arrays, points[chosen][None], stats, optima)
    complaints = _complaints.of_weights(khat, optima)
    if complaints:
        warnings.warn("; ".join(complaints), RuntimeWarning, stacklevel=2)
    return tree


def _equal_weights(rng, log_weight, number):
    """Choose points as often as their smoothed weights say, give or take one.

    Returns places in a random order, Kish's effective number of draws and k-hat.
    """
    smoothed, khat = array_stats.psislw(-log_weight)
    weight = np.exp(smoothed - np.max(smoothed))
    steps = (np.arange(number) + rng.uniform()) / number
    chosen = np.searchsorted(np.cumsum(weight) / np.sum(weight), steps)
    chosen = rng.permutation(np.minimum(chosen, len(weight) - 1))
    return chosen, _kish(smoothed), float(khat)


class _Mixture(NamedTuple):
    """A mixture of multivariate t distributions with _FREEDOM degrees of freedom."""

    weight: np.ndarray  # (K,)
    center: np.ndarray  # (K, P)
    spread: np.ndarray  # (K, P, P)


def _draw(rng, mixture, number):
    """Draw from a mixture; return points, log densities and each component's share.

    The shares are of shape (K, number).
    """
    size = mixture.center.shape[1]
    half = np.linalg.cholesky(mixture.spread)
    counts = rng.multinomial(number, mixture.weight)
    noise = rng.standard_normal((number, size))
    noise /= np.sqrt(rng.chisquare(_FREEDOM, (number, 1)) / _FREEDOM)
    parts = np.split(noise, np.cumsum(counts)[:-1])
    points = [c + n @ h.T for c, n, h in zip(mixture.center, parts, half, strict=True)]
    points = np.concatenate(points)
    inverse = np.linalg.inv(half)
    far = inverse.reshape(-1, size) @ np.ascontiguousarray(points.T)
    far -= np.reshape(inverse @ mixture.center[:, :, None], (-1, 1))
    far = np.sum(np.square(far, out=far).reshape(-1, size, number), axis=1)
    norm = np.log(mixture.weight) - np.sum(np.log(np.einsum("kii->ki", half)), axis=1)
    norm += gammaln((_FREEDOM + size) / 2) - gammaln(_FREEDOM / 2)
    norm -= size / 2 * np.log(np.pi * _FREEDOM)
    log_q = norm[:, None] - (_FREEDOM + size) / 2 * np.log(1 + far / _FREEDOM)
    highest = np.max(log_q, axis=0)
    share = np.exp(log_q - highest)
    total = np.sum(share, axis=0)
    return points, highest + np.log(total), share / total


def _first_mixture(optima):
    """Put a wide component at each optimum that chains would start at."""
    within = optima.log_weight > -REACH
    weight = np.maximum(np.exp(optima.log_weight[within]), 0.05)
    spread = 1.5 * optima.covariance[within]
    return _Mixture(weight / np.sum(weight), optima.position[within], spread)


def _refit(rng, points, log_weight, share, mixture, modes):
    """Fit a mixture to weighted points by a step of expectation maximization.

    Its last components are one for each mode, as wide as all that is nearer to it
    than to the others, and wider, so that no point can have a boundless weight
    (Hesterberg 1995). The others, if there are none yet, begin at points drawn by
    their weights.
    """
    weight = _even_out(log_weight, points.shape[1])
    near = share[-modes:] / np.maximum(np.sum(share[-modes:], axis=0), 1e-300)
    mass, centers, spreads = _moments_of_parts(points, near * weight)
    lost = mass < 1e-6  # by chance no point of this round is near it
    centers[lost] = mixture.center[-modes:][lost]
    spreads[lost] = mixture.spread[-modes:][lost] / 3
    within = np.tensordot(mass, spreads, 1)
    if len(share) == modes:
        parts = np.ones(_COMPONENTS * modes)
        fine = points[rng.choice(len(points), len(parts), p=weight)]
        fine_spreads = np.tile(0.6 * within, (len(parts), 1, 1))
    else:
        parts, fine, fine_spreads = _moments_of_parts(points, share[:-modes] * weight)
        fine_spreads = fine_spreads + 0.02 * within
        parts = np.maximum(parts / np.sum(parts), 0.02)
    mass = np.maximum(mass, 0.05)
    return _Mixture(
        np.append((1 - _GUARD) * parts / np.sum(parts), _GUARD * mass / np.sum(mass)),
        np.concatenate([fine, centers]),
        np.concatenate([fine_spreads, 3 * spreads]),
    )


def _moments_of_parts(points, weight):
    """Return the masses, means and covariances of parts with weights (K, number)."""
    mass = np.sum(weight, axis=1)
    found = [
        _mean_and_covariance(points, one / max(total, 1e-300))
        for one, total in zip(weight, mass, strict=True)
    ]
    return mass, np.array([c for c, _ in found]), np.array([s for _, s in found])


def _mean_and_covariance(points, weight):
    center = weight @ points
    apart = points - center
    return center, (apart * weight[:, None]).T @ apart


def _even_out(log_weight, size):
    """Return weights that sum to one, with the largest cut (Ionides 2008).

    As long as few points carry most of the weight, its logarithm is halved.
    """
    log_weight = log_weight - np.max(log_weight)
    enough = min(10 * size, np.sum(np.isfinite(log_weight)) / 2)
    while _kish(log_weight) < enough:
        log_weight = log_weight / 2
    weight = np.exp(log_weight)
    weight = np.minimum(weight, np.mean(weight) * np.sqrt(len(weight)))
    return weight / np.sum(weight)


def _kish(log_weight):
    """Return Kish's effective number of draws (1965)."""
    weight = np.exp(log_weight - np.max(log_weight))
    return np.sum(weight) ** 2 / np.sum(weight**2)


def sample(
    model,
    data,
    seed,
    *,
    start=None,
    num_chains=4,
    num_warmup=500,
    num_samples=2000,
    target_accept=0.98,
    dense_mass=True,
    chain_method="sequential",
    checkpoint=None,
    progress=False,
):
    """Draw from a posterior by NUTS, and say so if the draws are not to be trusted.

    In double precision whatever JAX's flag; NumPyro's sampler, in a program that is
    compiled once for each model and shape of the data, whatever the number of draws.
    Chains start where :func:`starting_points` says, with the curvature of the log
    density there as their first mass matrix.

    Args:
        model: a NumPyro model, as in :func:`starting_points`.
        data: the tuple of the model's arguments.
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
            ends of a posterior such as this book's.
        dense_mass: whether the mass matrix has off-diagonal elements.
        chain_method: ``"sequential"``, ``"parallel"`` (in threads, on several
            devices if there are; the same draws) or ``"vectorized"`` (other draws).
        checkpoint: name of a folder in which to keep the draws as they are made. The
            same call after an interruption goes on to the same draws, bit for bit;
            after the end it loads them.
        progress: whether to show a progress bar.

    Returns:
        ArviZ's :class:`xarray.DataTree` with groups ``posterior``, ``sample_stats``
        (with ``lp``, the log density in the unconstrained space), ``observed_data``
        and, unless ``start`` was given, ``optima``, what :func:`starting_points`
        found; its numbers are float64 NumPy arrays.

    Raises:
        ValueError: if an argument is not as above; if ``checkpoint`` holds another
            run.
        TypeError: if ``data`` is not a tuple, or a number of a wrong type.

    Warns:
        RuntimeWarning: once, the gravest first. *Do not trust these draws*: the
            chains disagree (R-hat above 1.1), with where each sits. *Too few draws*:
            a bulk or tail effective sample size below 100 a chain (Vehtari et al.
            2021), with how many are missing, or R-hat above 1.01. *Look*: more than
            one transition in a thousand diverged, trees as deep as allowed, draws
            piled up at an end of a bounded prior, the smallest chi squared of a
            Normal likelihood too large for its number of points, one chain alone.

    Example:
        >>> from jaxbayes.data import simulate
        >>> from jaxbayes.models import ordered_model
        >>> tree = sample(ordered_model, simulate(0, 300, noise=0.05), 0)
        >>> mean = tree.posterior["mean"]
        >>> print(mean.dims, mean.shape)
        ('chain', 'draw', 'component') (4, 2000, 2)
    """
    _check_integer("seed", seed, 0)
    for name, value, least in (
        ("num_chains", num_chains, 1),
        ("num_warmup", num_warmup, 0),
        ("num_samples", num_samples, 1),
    ):
        _check_integer(name, value, least)
    if not 0 < target_accept < 1:
        raise ValueError(f"target_accept must be between 0 and 1, got {target_accept}")
    if chain_method not in CHAIN_METHODS:
        raise ValueError(
            f"chain_method must be one of {CHAIN_METHODS}, got {chain_method!r}"
        )
    with jax.enable_x64(True):
        density, arrays = _density.describe(model, data)
        position = None
        if start is not None:
            keys = _keys(seed, 1, num_chains)
            position = _positions(start, keys, density, arrays)
        folder = None
        if checkpoint is not None:
            settings = {
                "seed": int(seed),
                "start": None if position is None else _checkpoint.digest(position),
                "num_chains": int(num_chains),
                "num_warmup": int(num_warmup),
                "num_samples": int(num_samples),
                "target_accept": float(target_accept),
                "dense_mass": bool(dense_mass),
                "chain_method": chain_method,
            }
            folder = _checkpoint.open_folder(checkpoint, density, arrays, settings)
        begin = _checkpoint.load(folder, "start")
        if begin is None:
            begin = _begin_at(position, model, data, seed, num_chains, density, arrays)
            looked = _gradients(begin["position"], arrays, density)
            begin |= dict(zip(("potential", "gradient"), looked, strict=True))
            _checkpoint.save(folder, "start", begin)
        kernel = (target_accept, arrays, density, bool(dense_mass), int(num_warmup))
        drawn = _run_chains(
            _keys(seed, 2, num_chains),
            begin,
            kernel,
            num_samples,
            chain_method,
            folder,
            progress,
        )
        stats = {
            "lp": -drawn["potential"],
            "energy": drawn["energy"],
            "acceptance_rate": drawn["accept_prob"],
            "n_steps": drawn["num_steps"],
            "diverging": drawn["diverging"],
        }
        tree = _tree(density, arrays, drawn["z"], stats, _optima_of(begin, density))
        best = np.unravel_index(np.argmax(stats["lp"]), stats["lp"].shape)
        _, chi2 = _observe(drawn["z"][best], arrays, density)
        one, other = (
            {
                name: np.asarray(ends)
                for name, ends in _bounds(key, arrays, density).items()
            }
            for key in _keys(seed, 3, 2)
        )
        bounds = {k: v for k, v in one.items() if np.array_equal(v, other[k])}
    complaints = _complaints.of_chains(tree, chi2, bounds)
    if complaints:
        warnings.warn("; ".join(complaints), RuntimeWarning, stacklevel=2)
    return tree


def _positions(start, keys, density, arrays):
    """Return the vectors at which chains begin that are told where to."""
    if isinstance(start, dict):
        return _from_values(start, len(keys), density, arrays)
    if not callable(start):
        raise ValueError(f"start must be a dictionary or a strategy, got {start!r}")
    return np.asarray(_by_strategy(keys, arrays, density, start))


def _begin_at(position, model, data, seed, num_chains, density, arrays):
    """Return positions and covariances for chains to begin with, by name."""
    if position is None:
        found = starting_points(model, data, seed, num_chains=num_chains)
        optima = {f"params.{k}": v for k, v in found.optima.params.items()}
        optima |= {k: v for k, v in found.optima._asdict().items() if k != "params"}
        optima = {f"optima.{name}": value for name, value in optima.items()}
        return {"position": found.position, "covariance": found.covariance, **optima}
    scale = _scale(_prior(seed, arrays, density))
    covariance = np.tile(np.diag(scale**2), (num_chains, 1, 1))
    return {"position": position, "covariance": covariance}


def _optima_of(begin, density):
    """Take the optima out of what chains began with."""
    if "optima.position" not in begin:
        return None
    names = [site.name for site in density.sites]
    params = {name: begin.get(f"optima.params.{name}") for name in names}
    rest = (begin[f"optima.{name}"] for name in Optima._fields[1:])
    return Optima(params, *rest)


def _from_values(start, num_chains, density, arrays):
    """Check starting points given as values of the sites; return them as vectors."""
    shapes = {site.name: (num_chains, *site.shape) for site in density.sites}
    got = {name: np.shape(value) for name, value in start.items()}
    if got != shapes:
        raise ValueError(f"start must have the shapes {shapes}, got {got}")
    values = {name: np.asarray(value, dtype=float) for name, value in start.items()}
    unconstrain = functools.partial(_density.unconstrain, density, arrays)
    position = np.asarray(jax.vmap(unconstrain)(values))
    for name, part in jax.vmap(lambda z: _density.split(density, z))(position).items():
        if not np.all(np.isfinite(part)):
            raise ValueError(f"start must lie within the prior of {name}")
    return position


def _nuts(key, looked, inverse_mass, scale, *kernel):
    """Make NumPyro's sampler of vectors ``scale * u``; return its state and step.

    It begins where one has looked: with u, the potential there, and its gradient.
    """
    target, arrays, density, dense_mass, num_warmup = kernel
    init, step = hmc(
        lambda u: _density.potential(density, arrays, scale * u), algo="NUTS"
    )
    state = init(
        ParamInfo(*looked),
        num_warmup,
        inverse_mass_matrix=inverse_mass,
        dense_mass=dense_mass,
        target_accept_prob=target,
        rng_key=key,
    )
    return state, step


def _begin_chain(key, looked, inverse_mass, scale, *kernel):
    """Return the state in which a chain begins."""
    return _nuts(key, looked, inverse_mass, scale, *kernel)[0]


def _advance(state, scale, steps, *kernel):
    """Make steps of a chain; return its state, and its draws if at most _BLOCK."""
    looked = state.z, state.potential_energy, state.z_grad
    inverse_mass = state.adapt_state.inverse_mass_matrix
    unused = jax.random.key(0)  # the state brings its own
    _, step = _nuts(unused, looked, inverse_mass, scale, *kernel)

    def look(state):
        return {
            "z": scale * state.z,
            "potential": state.potential_energy,
            "energy": state.energy,
            "accept_prob": state.accept_prob,
            "num_steps": state.num_steps,
            "diverging": state.diverging,
        }

    def body(i, carry):
        state, draws = carry
        state = step(state)
        put = functools.partial(lax.dynamic_update_index_in_dim, index=i, axis=0)
        return state, jax.tree.map(put, draws, look(state))

    empty = jax.tree.map(lambda v: jnp.zeros((_BLOCK, *v.shape), v.dtype), look(state))
    return lax.fori_loop(0, steps, body, (state, empty))


def _each(function, first):
    """Let a function run for all chains at once; ``first`` arguments are theirs."""

    def together(*args):
        return jax.vmap(lambda *own: function(*own, *args[first:]))(*args[:first])

    return together


_begin_one = jax.jit(_begin_chain, static_argnums=(6, 7, 8), compiler_options=_SOON)
_begin_all = jax.jit(
    _each(_begin_chain, 4), static_argnums=(6, 7, 8), compiler_options=_SOON
)
_advance_one = jax.jit(_advance, static_argnums=(5, 6, 7))
_advance_all = jax.jit(_each(_advance, 2), static_argnums=(5, 6, 7))


def _run_chains(keys, begin, kernel, num_samples, method, folder, progress):
    """Run chains, by blocks that are saved if there is a folder; return all draws."""
    num_chains, num_warmup = len(keys), kernel[-1]
    block = min(_BLOCK, max(100, -(-num_samples // 20)))
    steps = [min(block, num_samples - i) for i in range(0, num_samples, block)]
    # each direction in units of its width: NumPyro's adaptation takes it for about 1
    scale = np.sqrt(np.diagonal(begin["covariance"], axis1=1, axis2=2))
    inverse_mass = begin["covariance"] / (scale[:, :, None] * scale[:, None])
    if not kernel[-2]:
        inverse_mass = np.ones_like(scale)
    looked = (
        begin["position"] / scale,
        begin["potential"],
        begin["gradient"] * scale,
    )
    own = keys, looked, inverse_mass, scale
    devices = jax.local_devices() if method == "parallel" else [None]
    devices = devices if len(devices) > 1 else [None]
    bar = tqdm(total=num_chains * (num_warmup + num_samples), disable=not progress)

    def run(name, first, advance, *own):
        state = first.eval_shape(*own, *kernel)
        parts = []
        for i, count in enumerate([num_warmup, *steps]):
            saved = _checkpoint.load(folder, f"{name}-{i}", state)
            if saved is None:
                if i == 0:
                    state = first(*own, *kernel)
                state, draws = advance(state, own[-1], count, *kernel)
                jax.block_until_ready(state)
                saved = state, {} if i == 0 else draws
                _checkpoint.save(folder, f"{name}-{i}", *saved)
            state, draws = saved
            if i:
                parts.append({k: np.asarray(v) for k, v in draws.items()})
            bar.update(count * (num_chains if name == "all" else 1))
        return parts

    def joined(parts, axis):
        cut = [
            {k: np.take(v, range(count), axis) for k, v in part.items()}
            for part, count in zip(parts, steps, strict=True)
        ]
        return {k: np.concatenate([part[k] for part in cut], axis) for k in cut[0]}

    def one(i):
        mine = jax.tree.map(lambda each: each[i], own)
        with jax.enable_x64(True):  # for this thread
            if devices[0]:  # chosen by place, so that no thread traces the model anew
                mine = jax.device_put(mine, devices[i % len(devices)])
            return joined(run(f"chain{i}", _begin_one, _advance_one, *mine), 0)

    with bar:
        if method == "vectorized":
            return joined(run("all", _begin_all, _advance_all, *own), 1)
        chains = [one(0)]  # compiles for all
        workers = max(len(devices), cores())
        with ThreadPoolExecutor(workers if method == "parallel" else 1) as pool:
            chains += pool.map(one, range(1, num_chains))
        return {name: np.stack([c[name] for c in chains]) for name in chains[0]}


def _tree(density, arrays, points, stats, optima):
    """Make a tree of draws at vectors of shape (chain, draw, P)."""
    chains, draws, size = points.shape
    values = _values(density, arrays, points.reshape(-1, size), all_sites=True)
    posterior = {
        name: value.reshape(chains, draws, *value.shape[1:])
        for name, value in values.items()
    }
    seen, _ = _observe(points[0, 0], arrays, density)
    dims = {name: list(axes) for name, axes in density.dims}
    arrays_of = {k: v for k, v in stats.items() if np.ndim(v)}
    groups = {"posterior": posterior, "sample_stats": arrays_of}
    if seen:
        groups["observed_data"] = {
            name: np.asarray(value) for name, value in seen.items()
        }
    tree = arviz.from_dict(groups, dims=dims)
    for name in stats.keys() - arrays_of.keys():
        tree["sample_stats"][name] = stats[name]
    if optima is not None and len(optima.log_weight):
        told = {
            name: ("optimum", getattr(optima, name))
            for name in ("log_density", "log_weight", "searches")
        }
        for name, value in optima.params.items():
            axes = dims.get(name, [f"{name}_dim_{i}" for i in range(value.ndim - 1)])
            told[name] = (("optimum", *axes), value)
        tree["optima"] = xarray.DataTree(xarray.Dataset(told))
    tree.attrs["latent"] = [site.name for site in density.sites]
    return tree


@functools.partial(jax.jit, static_argnames="density", compiler_options=_SOON)
def _observe(z, arrays, density):
    """Return what was observed, and chi squared of it, at a vector."""
    return _density.observe(density, arrays, z)


@functools.partial(jax.jit, static_argnames="density", compiler_options=_SOON)
def _bounds(key, arrays, density):
    """Return the ends of the sites that have two."""
    return _density.bounds(density, arrays, key)
