"""Profiles made of Gaussians."""

import jax.numpy as jnp
import numpy as np


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
    params = jnp.asarray(params)
    if params.ndim != 1 or params.size == 0 or params.size % 3:
        raise ValueError(
            f"params must hold 3 values a Gaussian, got shape {params.shape}"
        )
    amplitude, mean, width = jnp.reshape(params, (-1, 3)).T
    z = (jnp.asarray(x)[..., None] - mean) / width
    return jnp.sum(amplitude * jnp.exp(-0.5 * z**2), axis=-1)
