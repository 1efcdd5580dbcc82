"""A prior for values that have an order: the triangle and its distribution."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpyro.distributions import Distribution, biject_to, constraints
from numpyro.distributions.transforms import (
    ComposeTransform,
    SigmoidTransform,
    Transform,
)
from numpyro.distributions.util import promote_shapes, validate_sample
from numpyro.util import not_jax_tracer


def triangle(q, low=0.0, high=1.0):
    r"""Map a cube evenly onto ordered values: a triangle, if there are two.

    With :math:`v_{K+1} = 1`, each value is a part of the next, from the largest
    down, :math:`v_k = v_{k+1} q_k^{1/k}`; the result is stretched to [low, high].
    Points spread evenly over the cube land evenly on :math:`v_1 \le \dots \le v_K`,
    as if K uniform numbers had been sorted. The slope is infinite where a
    coordinate other than the first is 0.

    Args:
        q: array of shape ``(..., K)``, values in [0, 1] (not checked: they may be
            traced).
        low: where the interval begins, a number or an array that broadcasts
            with ``q``.
        high: where it ends, likewise.

    Returns:
        JAX array of the shape of ``q``, increasing along the last axis.

    Raises:
        ValueError: if ``q`` is a single number.

    References:
        Turk (1990), *Generating random points in triangles*, in Graphics Gems;
        Kipping (2013), MNRAS 435, 2152, takes the idea to limb darkening.

    Example:
        >>> print(triangle(jnp.array([0.5, 0.25])))
        [0.25 0.5 ]
        >>> print(triangle(jnp.array([0.5, 0.25]), -4, 4))
        [-2.  0.]
    """
    if jnp.ndim(q) == 0:
        raise ValueError("q must have shape (..., K), got a single number")
    k = jnp.arange(1, jnp.shape(q)[-1] + 1)
    parts = q ** (1 / k)
    v = jnp.cumprod(parts[..., ::-1], axis=-1)[..., ::-1]
    return low + (high - low) * v


class OrderedInterval(constraints.interval):
    """The constraint on vectors of increasing values within an interval.

    Ties and the ends belong to it, since rounding produces both.

    Args:
        lower_bound: where the interval begins, a number or an array.
        upper_bound: where it ends, likewise.

    Example:
        >>> constraint = OrderedInterval(-4, 4)
        >>> print(constraint(jnp.array([[-1.0, 2.0], [2.0, -1.0], [0.0, 5.0]])))
        [ True False False]
    """

    event_dim = 1

    def __call__(self, x):
        """Tell which vectors of an array of shape ``(..., K)`` fulfil it."""
        ordered = jnp.all(x[..., 1:] >= x[..., :-1], axis=-1)
        above = x[..., 0] >= self.lower_bound
        return ordered & above & (x[..., -1] <= self.upper_bound)

    def __repr__(self):
        """Write the constraint as it was made."""
        return f"OrderedInterval({self.lower_bound}, {self.upper_bound})"

    def feasible_like(self, prototype):
        """Return evenly spaced values of the shape of ``prototype``."""
        shape = jnp.shape(prototype)
        fraction = jnp.arange(1, shape[-1] + 1) / (shape[-1] + 1)
        low, high = _as_columns(self.lower_bound, self.upper_bound)
        return jnp.broadcast_to(low + (high - low) * fraction, shape)

    def eq(self, other, static=False):
        """Tell whether another constraint is the same."""
        return isinstance(other, OrderedInterval) and super().eq(other, static=static)


class TriangleTransform(Transform):
    r"""Carry the unit cube over to an :class:`OrderedInterval` by :func:`triangle`.

    The volume shrinks by the same factor everywhere,
    :math:`(\text{high} - \text{low})^K / K!`. The way back is exact but at ties and
    ends, where whole edges of the cube meet.

    Args:
        low: where the interval begins, a number or an array.
        high: where it ends, likewise.

    Example:
        >>> transform = TriangleTransform(-4, 4)
        >>> print(transform(jnp.array([0.5, 0.25])), transform.inv(jnp.array([-2, 0])))
        [-2.  0.] [0.5  0.25]
    """

    domain = constraints.independent(constraints.unit_interval, 1)

    def __init__(self, low, high):
        """Keep the interval."""
        self.low = low
        self.high = high

    @property
    def codomain(self):
        """The constraint that the result fulfils."""
        return OrderedInterval(self.low, self.high)

    def __call__(self, x):
        """Map points of shape ``(..., K)`` to ordered values."""
        return triangle(x, *_as_columns(self.low, self.high))

    def _inverse(self, y):
        low, high = _as_columns(self.low, self.high)
        last = jnp.broadcast_to(high, jnp.shape(y[..., :1]))
        following = jnp.concatenate([y[..., 1:], last], axis=-1)
        parts = (y - low) / (following - low)
        return parts ** jnp.arange(1, jnp.shape(y)[-1] + 1)

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        """Return the log of the factor by which volume grows, of shape ``(...)``."""
        size = jnp.shape(x)[-1]
        factor = size * jnp.log(self.high - self.low) - math.lgamma(size + 1)
        return jnp.broadcast_to(factor, jnp.shape(x)[:-1])

    def tree_flatten(self):
        """Split into arrays and the rest, for JAX."""
        return (self.low, self.high), (("low", "high"), {})


@biject_to.register(OrderedInterval)
def _(constraint):
    to_triangle = TriangleTransform(constraint.lower_bound, constraint.upper_bound)
    return ComposeTransform([SigmoidTransform(), to_triangle])


class OrderedUniform(Distribution):
    r"""The sorted values of a number of uniform ones, as a NumPyro distribution.

    The density is the same at all vectors with :math:`\text{low} \le x_1 \le \dots
    \le x_K \le \text{high}`, :math:`K! / (\text{high} - \text{low})^K`, and zero
    elsewhere. Samplers reach it through :class:`TriangleTransform`.

    Args:
        low: lower end of the interval, a number or an array of shape ``(...)``.
        high: upper end, likewise.
        size: how many values K, at least 1.
        validate_args: whether :meth:`log_prob` looks at the support, as in any
            NumPyro distribution; if not, it returns the constant everywhere.

    Raises:
        ValueError: if ``low`` is not below ``high`` (not checked where they are
            traced), or ``size`` is not a positive integer.

    Example:
        >>> prior = OrderedUniform(-4, 4)
        >>> print(prior.sample(jax.random.key(0), (1000,)).shape, prior.mean)
        (1000, 2) [-1.333  1.333]
        >>> print(f"{prior.log_prob(jnp.array([-1.0, 2.0])):.3f}")  # log(2 / 8**2)
        -3.466
    """

    arg_constraints = {  # noqa: RUF012 (as NumPyro has it)
        "low": constraints.dependent(is_discrete=False, event_dim=0),
        "high": constraints.dependent(is_discrete=False, event_dim=0),
    }
    reparametrized_params = ["low", "high"]  # noqa: RUF012

    def __init__(self, low=0.0, high=1.0, size=2, *, validate_args=None):
        """Check and keep the interval."""
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"size must be a positive integer, got {size}")
        known = not_jax_tracer(low) and not_jax_tracer(high)
        if known and not np.all(np.less(low, high)):
            raise ValueError(f"low must be below high, got {low} and {high}")
        self.low, self.high = promote_shapes(low, high)
        batch_shape = lax.broadcast_shapes(jnp.shape(low), jnp.shape(high))
        super().__init__(batch_shape, (int(size),), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self):
        """The :class:`OrderedInterval` from low to high."""
        return OrderedInterval(self.low, self.high)

    def sample(self, key, sample_shape=()):
        """Draw independent vectors, of shape ``sample_shape + batch_shape + (K,)``."""
        q = jax.random.uniform(key, self.shape(sample_shape))
        return triangle(q, *_as_columns(self.low, self.high))

    @validate_sample
    def log_prob(self, value):
        """Evaluate the log density of vectors of shape ``(..., K)``."""
        if jnp.shape(value)[-1:] != self.event_shape:
            raise ValueError(
                f"value must have shape (..., {self.event_shape[0]}), "
                f"got {jnp.shape(value)}"
            )
        size = self.event_shape[0]
        shape = lax.broadcast_shapes(jnp.shape(value)[:-1], self.batch_shape)
        constant = math.lgamma(size + 1) - size * jnp.log(self.high - self.low)
        return jnp.broadcast_to(constant, shape)

    @property
    def mean(self):
        """The mean of each value, of shape ``batch_shape + (K,)``."""
        low, high = _as_columns(self.low, self.high)
        fraction = self._ranks() / (self.event_shape[0] + 1)
        return jnp.broadcast_to(low + (high - low) * fraction, self.shape())

    @property
    def variance(self):
        """The variance of each value, of shape ``batch_shape + (K,)``."""
        low, high = _as_columns(self.low, self.high)
        size, rank = self.event_shape[0], self._ranks()
        of_unit = rank * (size + 1 - rank) / ((size + 1) ** 2 * (size + 2))
        return jnp.broadcast_to((high - low) ** 2 * of_unit, self.shape())

    def _ranks(self):
        return jnp.arange(1.0, self.event_shape[0] + 1)


def _as_columns(*bounds):
    """Give arrays a last axis of length 1, to broadcast along that of the values."""
    return [jnp.expand_dims(bound, -1) for bound in bounds]
