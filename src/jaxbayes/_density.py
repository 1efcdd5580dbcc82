"""A NumPyro model and its data as a density over one vector, for any model.

What the searches and samplers of :mod:`jaxbayes.inference` need to know. A vector
holds the values of all latent sites in NumPyro's unconstrained space, sites in the
order of their names. All functions are to be called in double precision.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import (
    ExpandedDistribution,
    Independent,
    Normal,
    biject_to,
    constraints,
)
from numpyro.infer import init_to_sample
from numpyro.infer.util import (
    constrain_fn,
    log_density,
    potential_energy,
    unconstrain_fn,
)


class Site(NamedTuple):
    """A latent site: its name, shape, and shape in the unconstrained space."""

    name: str
    shape: tuple
    free_shape: tuple


class Density(NamedTuple):
    """What JAX compiles for: the model, its sites, and all of the data but arrays."""

    model: Callable
    sites: tuple[Site, ...]
    computed: bool  # whether there are deterministic sites
    dims: tuple  # pairs of a site and the names of its axes
    structure: Any  # of the data, a tree
    fixed: tuple  # its leaves, with a mark for each array


class _Array:
    """Stands for an array among the leaves that do not change."""


def describe(model, data):
    """Look at a model called with ``*data``; return its density and the arrays.

    Integers, texts and None among the data are part of what is compiled for;
    arrays, lists and floats are not, and come in double precision.

    Raises:
        ValueError: if the model cannot be called so, has no latent site, or a
            discrete one; or if an array has masked values or a unit.
        TypeError: if ``data`` is not a tuple.
    """
    data = as_arrays(data)
    leaves, structure = jax.tree.flatten(data, is_leaf=_is_leaf)
    arrays = arrays_of(data)
    fixed = tuple(_Array if isinstance(leaf, np.ndarray) else leaf for leaf in leaves)
    shapes = tuple(jax.ShapeDtypeStruct(v.shape, v.dtype) for v in arrays)
    return _describe(model, structure, fixed, shapes), arrays


def as_arrays(data):
    """Turn all but integers, texts and None among the data into NumPy arrays."""
    if not isinstance(data, tuple):
        raise TypeError(
            "data must be the tuple of the model's arguments, "
            f"got {type(data).__name__}"
        )
    return jax.tree.map_with_path(_as_array, data, is_leaf=_is_leaf)


def arrays_of(data):
    """Return the arrays among the data, in their order."""
    leaves = jax.tree.leaves(data, is_leaf=_is_leaf)
    return tuple(leaf for leaf in leaves if isinstance(leaf, np.ndarray))


@functools.lru_cache(maxsize=64)
def _describe(model, structure, fixed, shapes):
    """Look at a model called with arguments of these shapes."""
    seen, dims, computed, told = {}, {}, set(), []

    def look(arrays):
        args = jax.tree.unflatten(structure, _merge(fixed, arrays))
        for name, site in _trace(model, args, jax.random.key(0)).items():
            if site["type"] in ("sample", "deterministic"):
                dims[name] = _axes(site)
            if site["type"] == "deterministic":
                computed.add(name)
            if site["type"] == "sample" and not site["is_observed"]:
                fn, shape = site["fn"], jnp.shape(site["value"])
                if fn.support.is_discrete:
                    raise ValueError(
                        f"model has a discrete latent site, {name}: sum over its values"
                    )
                free_shape = tuple(biject_to(fn.support).inverse_shape(shape))
                seen[name] = Site(name, shape, free_shape)
        if not seen:
            raise ValueError("model has no latent site: nothing to infer")
        sites = tuple(seen[name] for name in sorted(seen))
        named = tuple(sorted((name, axes) for name, axes in dims.items() if axes))
        told.append(Density(model, sites, bool(computed), named, structure, fixed))
        return potential(told[0], arrays, jnp.zeros(size(told[0])))

    try:
        jax.eval_shape(look, shapes)
    except (
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        if str(error).startswith("model has"):
            raise
        rest = iter(shapes)
        kinds = [str(next(rest).shape) if v is _Array else repr(v) for v in fixed]
        told = jax.tree.unflatten(structure, kinds)
        raise ValueError(
            f"model cannot be called with these {len(structure.children())} "
            f"arguments, {', '.join(map(_in_short, told))}: {error}"
        ) from error
    return told[0]


def _in_short(kinds):
    """Write the shapes of the arrays of an argument, and what else it holds."""
    if isinstance(kinds, dict):
        return "{" + ", ".join(f"{k}: {_in_short(v)}" for k, v in kinds.items()) + "}"
    if isinstance(kinds, list | tuple):
        return f"[{', '.join(map(_in_short, kinds))}]"
    return str(kinds)


def _trace(model, args, key, strategy=init_to_sample):
    """Run a model, its latent sites by a strategy; return its sites."""
    seeded = handlers.seed(model, key)
    started = handlers.substitute(seeded, substitute_fn=strategy)
    return handlers.trace(started).get_trace(*args)


def _axes(site):
    """Name a site's axes after its plates, and as ``event_dims`` in ``infer`` says."""
    plates = sorted(site["cond_indep_stack"], key=lambda frame: frame.dim)
    names = [frame.name for frame in plates]
    names += site.get("infer", {}).get("event_dims", ())  # deterministic: no infer
    return tuple(names) if len(names) == jnp.ndim(site["value"]) else ()


def _as_array(path, value):
    """Turn lists, floats and arrays into NumPy arrays, in double precision."""
    name = f"data{jax.tree_util.keystr(path)}"
    if value is None or isinstance(value, bool | int | np.integer | str):
        return value
    if getattr(value, "unit", None) is not None:
        raise ValueError(
            f"{name} has a unit, {value.unit}: pass plain numbers, all in one "
            "system of units"
        )
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} has {np.ma.count_masked(value)} masked values: drop them from "
            "every array, as in x[~y.mask]"
        )
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be an array, got rows of unlike length"
        ) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got {array.dtype}")
    kind = float if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    return array.astype(kind)


def _is_leaf(value):
    return value is None or isinstance(value, list)


def _merge(fixed, arrays):
    rest = iter(arrays)
    return [next(rest) if leaf is _Array else leaf for leaf in fixed]


def arguments(density, arrays):
    """Put the model's arguments together again."""
    leaves = _merge(density.fixed, arrays)
    return jax.tree.unflatten(density.structure, leaves)


def size(density):
    """Return the length of the vectors."""
    return sum(int(np.prod(site.free_shape)) for site in density.sites)


def split(density, z):
    """Cut a vector into the unconstrained values of the sites."""
    values, begin = {}, 0
    for site in density.sites:
        end = begin + int(np.prod(site.free_shape))
        values[site.name] = jnp.reshape(z[begin:end], site.free_shape)
        begin = end
    return values


def join(density, values):
    """Make a vector of the unconstrained values of the sites."""
    return jnp.concatenate([jnp.ravel(values[site.name]) for site in density.sites])


def potential(density, arrays, z):
    """Return minus the log density at a vector; infinite where it is not a number."""
    args = arguments(density, arrays)
    value = potential_energy(density.model, args, {}, split(density, z))
    return jnp.where(jnp.isnan(value), jnp.inf, value)


def log_likelihood(density, arrays, z):
    """Return the log density of what was observed, factors included, at a vector."""
    return log_likelihood_at(density, arrays, constrain(density, arrays, z))


def log_likelihood_at(density, arrays, values):
    """Return the log density of what was observed at values of the latent sites."""
    model = handlers.substitute(density.model, data=values)
    model = handlers.block(model, hide=[site.name for site in density.sites])
    seeded = handlers.seed(model, jax.random.key(0))
    return log_density(seeded, arguments(density, arrays), {}, {})[0]


def constrain(density, arrays, z, *, all_sites=False):
    """Return the values of the latent, or of all, sites at a vector."""
    args, values = arguments(density, arrays), split(density, z)
    return constrain_fn(density.model, args, {}, values, return_deterministic=all_sites)


def unconstrain(density, arrays, values):
    """Return the vector at which the sites have these values."""
    args = arguments(density, arrays)
    return join(density, unconstrain_fn(density.model, args, {}, values))


def start_by(density, arrays, strategy, key):
    """Return the vector at which a strategy of NumPyro starts."""
    trace = _trace(density.model, arguments(density, arrays), key, strategy)
    values = {site.name: trace[site.name]["value"] for site in density.sites}
    return unconstrain(density, arrays, values)


def observe(density, arrays, z):
    """Return the observed sites' values, and chi squared of the Normal ones.

    Returns:
        Two dictionaries: values, and pairs of chi squared and the number of points.
    """
    values = constrain(density, arrays, z)
    seeded = handlers.seed(density.model, jax.random.key(0))
    model = handlers.trace(handlers.substitute(seeded, data=values))
    trace = model.get_trace(*arguments(density, arrays))
    seen, chi2 = {}, {}
    for name, site in trace.items():
        if site["type"] == "sample" and site["is_observed"]:
            seen[name] = site["value"]
            fn = site["fn"]
            while isinstance(fn, Independent | ExpandedDistribution):
                fn = fn.base_dist
            if isinstance(fn, Normal):
                residuals = (site["value"] - fn.loc) / fn.scale
                chi2[name] = jnp.sum(residuals**2), jnp.size(residuals)
    return seen, chi2


def bounds(density, arrays, key):
    """Return the ends of the sites whose support has two, as arrays of their shapes.

    Those that differ from one key to another depend on other sites.
    """
    trace = _trace(density.model, arguments(density, arrays), key)
    found = {}
    for site in density.sites:
        fn = trace[site.name]["fn"]
        support = fn.support
        while isinstance(support, type(constraints.independent(support, 1))):
            support = support.base_constraint
        if isinstance(support, constraints.interval):
            ends = support.lower_bound, support.upper_bound
            found[site.name] = jnp.stack([_fill(end, fn, site.shape) for end in ends])
    return found


def _fill(end, fn, shape):
    missing = len(shape) - jnp.ndim(end) if jnp.ndim(end) == len(fn.batch_shape) else 0
    end = jnp.reshape(end, (*jnp.shape(end), *(1,) * missing))
    return jnp.broadcast_to(end, shape)
