"""Posteriors of many data sets of one shape, by one program."""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln
from scipy.special import logsumexp

from jaxbayes import _density
from jaxbayes.inference import (
    _COMPONENTS,
    _FREEDOM,
    _GUARD,
    _TRIES,
    REACH,
    _check_integer,
    _equal_weights,
    _Mixture,
    _prior,
    _scale,
)
from jaxbayes.timing import cores

# draws of the prior to choose from, searches, and their steps
_DRAWS, _SEARCHES, _STEPS = 512, 8, 50
# of importance sampling: rounds to wait for better weights, and rounds in all
_PATIENCE, _MOST_ROUNDS = 5, 40
_BLOCK = 64  # data sets at a time


class Posteriors(NamedTuple):
    """Draws from the posteriors of B data sets, and what they are worth.

    Attributes:
        draws: dictionary of arrays of shape ``(B, num_samples, ...)``, the values of
            the sites, deterministic ones included; equally weighted.
        ess: array of shape ``(B,)``, Kish's effective number of draws.
        khat: array of shape ``(B,)``, the tail index of the weights. Draws with more
            than 0.7, or nan, are not to be trusted, and those worth fewer independent
            ones than there are neither: their intervals tend to be too narrow.
        log_evidence: array of shape ``(B,)``, as :func:`jaxbayes.inference.importance`
            has it.
        optimum: dictionary of arrays of shape ``(B, ...)``, the sites at the best
            optimum.
        rivals: integer array of shape ``(B,)``, how many other optima share the
            posterior.
    """

    draws: dict
    ess: np.ndarray
    khat: np.ndarray
    log_evidence: np.ndarray
    optimum: dict
    rivals: np.ndarray


def _descend(logp, starts):
    """Minimize minus a log density from several starts, by damped Newton steps.

    Returns places, covariances there, and logs of Laplace's weights, minus infinity
    for a place that is no minimum or was found before.
    """
    count, size = starts.shape
    eye = jnp.eye(size)
    gradients = jax.vmap(jax.vmap(jax.value_and_grad(lambda u: -logp(u))))

    def look(u, hessian):
        # differences of the gradient over a small part of the width, each way
        step = 1e-4 / jnp.sqrt(jnp.abs(jnp.einsum("kii->ki", hessian)) + 1)
        apart = step[:, :, None] * eye
        points = jnp.concatenate(
            [u[:, None], u[:, None] + apart, u[:, None] - apart], 1
        )
        values, grads = gradients(points)
        up, down = jnp.split(grads[:, 1:], 2, axis=1)
        hessian = (up - down) / (2 * step[:, :, None])
        return values[:, 0], grads[:, 0], (hessian + jnp.swapaxes(hessian, 1, 2)) / 2

    def going(state):
        return (state[0] < _STEPS) & jnp.any(state[-1])

    def body(state):
        i, trial, u, value, grad, hessian, damping, remaining, active = state
        new = look(trial, hessian)
        good = active & (new[0] < value) & jnp.all(jnp.isfinite(new[2]), axis=(1, 2))
        u = jnp.where(good[:, None], trial, u)
        value = jnp.where(good, new[0], value)
        grad = jnp.where(good[:, None], new[1], grad)
        hessian = jnp.where(good[:, None, None], new[2], hessian)
        damping = jnp.where(good, 0.1 * damping, 8 * damping)
        lam, axes = jnp.linalg.eigh(hessian)
        along = jnp.einsum("kij,ki->kj", axes, grad)
        remaining = jnp.sum(along**2 / (jnp.abs(lam) + 1e-8), axis=1) / 2
        largest = jnp.max(jnp.abs(lam), axis=1)
        damping = jnp.where(i == 0, 0.01 * largest, damping)
        active &= (remaining > 1e-9) & (damping < 1e12 * (1 + largest))
        active &= jnp.isfinite(value)
        step = along / (jnp.abs(lam) + damping[:, None])
        trial = u - jnp.einsum("kij,kj->ki", axes, step)
        return i + 1, trial, u, value, grad, hessian, damping, remaining, active

    infinite = jnp.full(count, jnp.inf)
    state = (0, starts, starts, infinite, jnp.zeros_like(starts))
    state += (jnp.tile(eye, (count, 1, 1)), jnp.ones(count), infinite)
    state = lax.while_loop(going, body, (*state, jnp.full(count, True)))
    _, _, u, value, _, hessian, _, remaining, _ = state
    lam, axes = jnp.linalg.eigh(hessian)
    minimum = (remaining < 1e-6) & (lam[:, 0] > 1e-8)
    lam = jnp.maximum(lam, 1e-6)
    cov = jnp.einsum("kij,kj,klj->kil", axes, 1 / lam, axes)
    log_weight = -value - jnp.sum(jnp.log(lam), axis=1) / 2
    apart = u[:, None] - u[None]
    far = jnp.einsum("ijk,jkl,ijl->ij", apart, hessian, apart)
    earlier = jnp.tril(jnp.full((count, count), True), -1)
    again = jnp.any((far < 1e-2) & earlier & minimum[None], axis=1)
    return u, cov, jnp.where(minimum & ~again, log_weight, -jnp.inf)


def _draw(key, mixture, number):
    """Draw from a mixture; return points, log densities and each component's share."""
    size = mixture.center.shape[1]
    one, two = jax.random.split(key)
    half = jnp.linalg.cholesky(mixture.spread)
    # as many of each component as its weight says, give or take one
    steps = (jnp.arange(number) + jax.random.uniform(one)) / number
    ends = jnp.cumsum(mixture.weight)[:-1] / jnp.sum(mixture.weight)
    which = jnp.sum(steps[:, None] > ends, axis=1)
    # single precision does for noise: densities are taken at the points it leads to
    noise = jax.random.normal(two, (number, size + _FREEDOM), jnp.float32).astype(float)
    wide = jnp.sqrt(jnp.mean(noise[:, size:] ** 2, axis=1, keepdims=True))
    noise = noise[:, :size] / wide
    points = mixture.center[which] + jnp.einsum("nij,nj->ni", half[which], noise)
    eye = jnp.eye(size)
    inverse = jax.vmap(lambda h: solve_triangular(h, eye, lower=True))(half)
    far = jnp.einsum("kij,nj->kin", inverse, points)
    far -= jnp.einsum("kij,kj->ki", inverse, mixture.center)[:, :, None]
    far = jnp.sum(far**2, axis=1)
    norm = jnp.log(mixture.weight)
    norm -= jnp.sum(jnp.log(jnp.diagonal(half, axis1=1, axis2=2)), axis=1)
    norm += gammaln((_FREEDOM + size) / 2) - gammaln(_FREEDOM / 2)
    norm -= size / 2 * np.log(np.pi * _FREEDOM)
    log_q = norm[:, None] - (_FREEDOM + size) / 2 * jnp.log1p(far / _FREEDOM)
    highest = jnp.max(log_q, axis=0)
    share = jnp.exp(log_q - highest)
    total = jnp.sum(share, axis=0)
    return points, highest + jnp.log(total), share / total


def _kish(log_weight):
    """Return Kish's effective number of draws (1965)."""
    weight = jnp.exp(log_weight - jnp.max(log_weight))
    return jnp.sum(weight) ** 2 / jnp.sum(weight**2)


def _even_out(log_weight, size):
    """Return weights that sum to one, cut and tempered as in the other module."""
    log_weight = log_weight - jnp.max(log_weight)
    enough = jnp.minimum(10.0 * size, jnp.sum(jnp.isfinite(log_weight)) / 2)
    log_weight = lax.while_loop(
        lambda v: _kish(v) < enough, lambda v: v / 2, log_weight
    )
    weight = jnp.exp(log_weight)
    weight = jnp.minimum(weight, jnp.mean(weight) * np.sqrt(len(weight)))
    return weight / jnp.sum(weight)


def _moments(points, weight):
    """Return the masses, means and covariances of parts with weights (K, number)."""
    mass = jnp.sum(weight, axis=1)
    share = weight / jnp.maximum(mass, 1e-300)[:, None]
    center = share @ points
    apart = points - center[:, None]
    return mass, center, jnp.einsum("kni,knj->kij", share[:, :, None] * apart, apart)


def _refit(points, log_weight, share, mixture):
    """Fit a mixture to weighted points by a step of expectation maximization.

    As :mod:`jaxbayes.inference` does; the last components are wide, one a search.
    """
    weight = _even_out(log_weight, points.shape[1])
    fine, wide = share[:-_SEARCHES], share[-_SEARCHES:]
    near = wide / jnp.maximum(jnp.sum(wide, axis=0), 1e-300)
    mass, centers, spreads = _moments(points, near * weight)
    lost = mass < 1e-6  # no optimum, or by chance no point of this round is near it
    centers = jnp.where(lost[:, None], mixture.center[-_SEARCHES:], centers)
    spreads = jnp.where(lost[:, None, None], mixture.spread[-_SEARCHES:] / 3, spreads)
    within = jnp.tensordot(mass, spreads, 1)
    parts, middles, narrow = _moments(points, fine * weight)
    parts = jnp.maximum(parts / jnp.sum(parts), 0.02)
    mass = jnp.where(
        mixture.weight[-_SEARCHES:] < 1e-12, 1e-13, jnp.maximum(mass, 0.05)
    )
    return _Mixture(
        jnp.append(
            (1 - _GUARD) * parts / jnp.sum(parts), _GUARD * mass / jnp.sum(mass)
        ),
        jnp.concatenate([middles, centers]),
        jnp.concatenate([narrow + 0.02 * within, 3 * spreads]),
    )


def _first_mixture(key, places, covariances, log_weight):
    """Scatter components about the optima, and put a wide one at each."""
    share = jnp.exp(log_weight - jnp.max(log_weight))
    within = log_weight > jnp.max(log_weight) - REACH
    weight = jnp.where(within, jnp.maximum(share, 0.05), 1e-13)
    weight /= jnp.sum(weight)
    one, two = jax.random.split(key)
    which = jax.random.choice(one, len(weight), (_COMPONENTS,), p=weight)
    noise = jax.random.normal(two, (_COMPONENTS, places.shape[1]))
    half = jnp.linalg.cholesky(covariances)[which]
    about = places[which] + jnp.einsum("kij,kj->ki", half, noise)
    even = jnp.full(_COMPONENTS, (1 - _GUARD) / _COMPONENTS)
    return _Mixture(
        jnp.append(even, _GUARD * weight),
        jnp.concatenate([about, places]),
        jnp.concatenate([covariances[which], 3 * covariances]),
    )


def _infer(key, arrays, draws, scale, density, number):
    """Search, adapt a mixture and draw from it, for one data set.

    Returns points, logs of their weights, the searches' ends and logs of the weights
    of these, minus infinity for all but distinct optima.
    """

    @jax.vmap
    def log_density(u):
        return -_density.potential(density, arrays, scale * u)

    starts = (draws / scale).reshape(_SEARCHES, -1, len(scale))
    values = log_density(starts.reshape(-1, len(scale))).reshape(_SEARCHES, -1)
    best = jnp.argmax(jnp.where(jnp.isfinite(values), values, -jnp.inf), axis=1)
    starts = starts[jnp.arange(_SEARCHES), best]
    places, covariances, log_weight = _descend(
        lambda u: -_density.potential(density, arrays, scale * u), starts
    )
    first, second = jax.random.split(key)
    mixture = _first_mixture(first, places, covariances, log_weight)

    def unfinished(state):
        return state[-1] < blocks

    def body(state):
        turn, best, waited, mixture, points, weights, done = state
        here, log_q, share = _draw(jax.random.fold_in(second, turn), mixture, _TRIES)
        weight = log_density(here) - log_q + jnp.sum(jnp.log(scale))
        # adapt for as long as it helps, then draw from one mixture to the end
        adapt = (done == 0) & (turn < _MOST_ROUNDS) & (waited < _PATIENCE)
        mixture = lax.cond(
            adapt, lambda: _refit(here, weight, share, mixture), lambda: mixture
        )
        worth = _kish(weight)
        waited = jnp.where(worth > 1.05 * best, 0, waited + 1)
        points = lax.dynamic_update_index_in_dim(points, here, done, 0)
        weights = lax.dynamic_update_index_in_dim(weights, weight, done, 0)
        done = jnp.where(adapt, done, done + 1)
        return turn + 1, jnp.fmax(worth, best), waited, mixture, points, weights, done

    blocks, size = -(-number // _TRIES), len(scale)
    empty = jnp.zeros((blocks, _TRIES, size)), jnp.zeros((blocks, _TRIES))
    state = lax.while_loop(unfinished, body, (0, 0.0, 0, mixture, *empty, 0))
    points, weights = scale * state[4].reshape(-1, size), state[5].ravel()
    return points, weights, scale * places, log_weight


def _of_one(mine, shared, differ):
    """Put the arrays of one data set together."""
    mine, shared = iter(mine), iter(shared)
    return tuple(next(mine) if own else next(shared) for own in differ)


@functools.partial(jax.jit, static_argnames=("differ", "density", "number"))
def _infer_each(keys, mine, shared, draws, scale, differ, density, number):
    """Infer for a block of data sets, one after another: the same in any block."""
    return lax.map(
        lambda own: _infer(
            own[0], _of_one(own[1], shared, differ), draws, scale, density, number
        ),
        (keys, mine),
    )


@functools.partial(jax.jit, static_argnames=("differ", "density"))
def _constrain_each(points, mine, shared, differ, density):
    """Return the values of all sites at the points of a block of data sets."""

    def one(own):
        arrays = _of_one(own[1], shared, differ)
        put = functools.partial(
            _density.constrain, density, arrays, all_sites=density.computed
        )
        return jax.vmap(put)(own[0])

    return lax.map(one, (points, mine))


def importance_many(model, data, seed, *, in_axes, num_samples=1000):
    """Draw from the posteriors of many data sets of one shape by importance sampling.

    What :func:`jaxbayes.inference.importance` does, with fewer searches and
    proposals, and compiled once for all: eight searches by Newton's method from draws
    of the prior; adaptive importance sampling with a mixture of t distributions, for
    as many rounds as the weights become more even; then at least four proposals for
    each draw that is returned, smoothed weights (PSIS, Vehtari et al. 2024) and
    resampling. The draws of a data set depend on ``seed`` and its place alone, not on
    how many others there are. In double precision; memory for 64 data sets at a time,
    beside the draws returned.

    Args:
        model: a NumPyro model, as in :func:`jaxbayes.inference.starting_points`. Its
            prior must not depend on the arguments that differ.
        data: the tuple of the model's arguments.
        seed: integer.
        in_axes: tuple as long as ``data``: 0 for an argument that has one entry for
            each data set, along the first axis of each array in it, None for one that
            they share (as in :func:`jax.vmap`).
        num_samples: how many draws to return for each, at least 100.

    Returns:
        :class:`Posteriors`. Nothing warns, so look at ``khat``, ``ess`` and ``rivals``.

    Raises:
        ValueError: as :func:`jaxbayes.inference.starting_points`; if ``in_axes`` is
            not as above, or arrays do not have one number of data sets.
        TypeError: as :func:`jaxbayes.inference.starting_points`.

    Example:
        >>> from jaxbayes.data import TRUTH, simulate
        >>> from jaxbayes.models import ordered_model
        >>> profiles = [simulate(seed, 200) for seed in range(3)]
        >>> x, yerr = profiles[0].x, profiles[0].yerr
        >>> y = np.stack([profile.y for profile in profiles])
        >>> found = importance_many(
        ...     ordered_model, (x, y, yerr), 0, in_axes=(None, 0, None))
        >>> found.draws["mean"].shape
        (3, 1000, 2)
    """
    _check_integer("seed", seed, 0)
    _check_integer("num_samples", num_samples, 100)
    with jax.enable_x64(True):
        density, arrays, number, differ, mine, shared = _describe(model, data, in_axes)
        draws = _prior(seed, arrays, density)[:_DRAWS]
        scale = _scale(draws)
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(
            jnp.arange(number)
        )
        same = {"shared": shared, "differ": differ, "density": density}
        infer = functools.partial(
            _infer_each, draws=draws, scale=scale, number=4 * num_samples, **same
        )
        constrain = functools.partial(_constrain_each, **same)
        run = functools.partial(
            _run_block, seed, keys, mine, infer, constrain, num_samples
        )
        starts = range(0, number, _BLOCK)
        with ThreadPoolExecutor(min(cores(), len(starts))) as pool:
            parts = [run(starts[0]), *pool.map(run, starts[1:])]
    found = jax.tree.map(lambda *each: np.concatenate(each)[:number], *parts)
    latent = {site.name: found.optimum[site.name] for site in density.sites}
    return found._replace(optimum=latent)


def _describe(model, data, in_axes):
    """Look at a model and many data sets.

    Returns the density of one data set and the arrays of the first, how many there
    are, for each array whether data sets differ in it, and the arrays of both kinds.
    """
    data = _density.as_arrays(data)
    axes = _axes_of(in_axes, data)
    number = _number_of_sets(axes, data)
    one = tuple(
        jax.tree.map(lambda v: np.asarray(v[0]), part) if axis == 0 else part
        for axis, part in zip(axes, data, strict=True)
    )
    density, arrays = _density.describe(model, one)
    differ, mine, shared = (), (), ()
    for axis, part in zip(axes, data, strict=True):
        own = _density.arrays_of(part)
        differ += (axis == 0,) * len(own)
        mine, shared = (mine + own, shared) if axis == 0 else (mine, shared + own)
    return density, arrays, number, differ, mine, shared


def _axes_of(in_axes, data):
    """Check the axes along which data sets differ."""
    axes = tuple(in_axes) if isinstance(in_axes, tuple | list) else (in_axes,)
    if len(axes) != len(data) or not set(axes) <= {0, None} or 0 not in axes:
        raise ValueError(
            f"in_axes must be 0 or None for each of the {len(data)} arguments, "
            f"0 for one at least, got {in_axes}"
        )
    return axes


def _number_of_sets(axes, data):
    """Return how many data sets there are, the same for all arrays."""
    numbers = {
        f"data[{i}]{jax.tree_util.keystr(path)}": np.shape(array)[:1]
        for i, axis in enumerate(axes)
        if axis == 0
        for path, array in jax.tree.leaves_with_path(data[i])
    }
    if len(set(numbers.values())) != 1 or set(numbers.values()) & {(), (0,)}:
        told = ", ".join(f"{len_} in {name}" for name, len_ in numbers.items())
        raise ValueError(
            "arrays must have one entry for each data set along their first axis, "
            f"got lengths {told or 'of none'}"
        )
    return next(iter(numbers.values()))[0]


def _run_block(seed, keys, mine, infer, constrain, num_samples, start):
    """Infer for the data sets from one on, as many as a block has."""
    with jax.enable_x64(True):  # for this thread
        places = np.minimum(np.arange(start, start + _BLOCK), len(keys) - 1)
        own = tuple(array[places] for array in mine)
        points, log_weight, ends, modes = map(np.asarray, infer(keys[places], own))
        equal = [
            _equal_weights(np.random.default_rng([seed, place]), one, num_samples)
            for place, one in zip(places, log_weight, strict=True)
        ]
        chosen, ess, khat = map(np.array, zip(*equal, strict=True))
        best = np.argmax(modes, axis=1)[:, None, None]
        points = np.take_along_axis(points, chosen[:, :, None], axis=1)
        both = np.concatenate([points, np.take_along_axis(ends, best, axis=1)], axis=1)
        values = constrain(both, own)
        values = {name: np.asarray(value) for name, value in values.items()}
        highest = np.max(modes, axis=1, keepdims=True)
        return Posteriors(
            draws={name: value[:, :-1] for name, value in values.items()},
            ess=ess,
            khat=khat,
            log_evidence=logsumexp(log_weight, axis=1) - np.log(log_weight.shape[1]),
            optimum={name: value[:, -1] for name, value in values.items()},
            rivals=np.sum(modes > highest - REACH, axis=1) - 1,
        )
