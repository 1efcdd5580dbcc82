"""The book's likelihood at a cost that does not depend on the number of points.

The double Gaussian is so smooth that its values at 80 Chebyshev nodes on [-5, 5]
give it everywhere: at the data, it is ``L @ double_gaussian(params, nodes)`` with a
fixed matrix ``L``. A QR decomposition of ``L / yerr`` then turns chi squared of any
number of points into a constant and 80 squares:

    chi2(params) = constant + |z - R @ double_gaussian(params, nodes)|^2

``compress`` measures on a thousand draws from the prior how far this is from chi
squared of all points, and refuses to go on if that is more than 1e-6.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from jaxbayes.fitting import chi2_numpy
from jaxbayes.inference import HIGH, LOW, to_params
from jaxbayes.models import double_gaussian, double_gaussian_numpy
from jaxbayes.priors import OrderedUniform


class Compressed(NamedTuple):
    """What is left of a profile."""

    nodes: np.ndarray
    z: np.ndarray
    r: np.ndarray
    constant: np.ndarray


def compress(profile, size=80):
    """Compress a profile on [-5, 5], and check that nothing is lost."""
    nodes = 5 * np.cos(np.pi * (np.arange(size) + 0.5) / size)
    at_nodes = np.polynomial.chebyshev.chebvander(nodes / 5, size - 1)
    at_data = np.polynomial.chebyshev.chebvander(profile.x / 5, size - 1)
    interpolate = np.linalg.solve(at_nodes.T, at_data.T).T
    q, r = np.linalg.qr(interpolate / profile.yerr[:, None])
    scaled = profile.y / profile.yerr
    z = q.T @ scaled
    constant = np.sum((scaled - q @ z) ** 2)
    data = Compressed(nodes, z, r, constant)
    draws = np.random.default_rng(0).uniform(LOW, HIGH, (1000, 6))
    error = [
        chi2_cheap(params, data) - chi2_numpy(params, *profile) for params in draws
    ]
    if np.max(np.abs(error)) > 1e-6:
        raise ValueError(f"compression is off by {np.max(np.abs(error))} in chi2")
    return data


def chi2_cheap(params, data):
    """Compute chi squared of all points from those that are left."""
    residual = data.z - data.r @ double_gaussian_numpy(params, data.nodes)
    return data.constant + residual @ residual


def ordered_cheap(nodes, z, r, constant):
    """State jaxbayes.inference.ordered_model, up to a constant in the density."""
    with numpyro.plate("component", 2):
        amplitude = numpyro.sample("amplitude", dist.Uniform(1, 3))
        width = numpyro.sample("width", dist.Uniform(0.5, 1.5))
    mean = numpyro.sample("mean", OrderedUniform(-4, 4))
    residual = z - r @ double_gaussian(to_params(amplitude, mean, width), nodes)
    numpyro.factor("y", -0.5 * (constant + jnp.sum(residual**2)))
