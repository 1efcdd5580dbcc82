"""Time JAX code without fooling oneself."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax


class Timing(NamedTuple):
    """Seconds of wall time.

    Attributes:
        first: the first call, which for a jitted function traces and compiles.
        best: the fastest of the calls after it.
    """

    first: float
    best: float


def best_time(function, *args, repeats=100):
    """Time a function: the first call, then the fastest of many more.

    Each call is waited for: JAX returns before the work is done. Background
    load only ever adds time, so the minimum is the steadiest summary.

    Args:
        function: what to call; JAX or not.
        *args: what to call it with.
        repeats: number of calls after the first, at least 1.

    Returns:
        A :class:`Timing` in seconds.

    Raises:
        ValueError: if ``repeats`` is less than 1.

    Example:
        >>> timing = best_time(sum, range(1000), repeats=5)
        >>> 0 < timing.best < 1
        True
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    seconds = []
    for _ in range(repeats + 1):
        start = perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(perf_counter() - start)
    return Timing(first=seconds[0], best=min(seconds[1:]))


def compile_time(function, *args):
    """Time tracing and compiling a function, without running it.

    Compiles anew at each call, unless JAX's persistent compilation cache is on
    (it is off by default).

    Args:
        function: a function that JAX can trace, jitted or not.
        *args: the arguments to compile for; only shapes and dtypes matter.

    Returns:
        Seconds.

    Example:
        >>> import jax.numpy as jnp
        >>> compile_time(jnp.sin, jnp.ones(3)) > 0
        True
    """
    start = perf_counter()
    jax.jit(lambda *args: function(*args)).lower(*args).compile()
    return perf_counter() - start


def machine():
    """Name the processor, its cores, the device JAX uses, and the versions.

    Returns:
        One line of text, to print beside every timing.

    Example:
        >>> "jax" in machine()
        True
    """
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [
            line.split(":", 1)[1].strip()
            for line in lines
            if line.startswith("model name")
        ]
        processor = (names or [processor])[0]
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy"))
    device = jax.devices()[0].device_kind
    return f"{processor}, {os.cpu_count()} cores; JAX on {device}; {versions}"
