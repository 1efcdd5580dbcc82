"""Time JAX code without fooling oneself."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax
import numpy as np


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
    load only ever adds time, so the minimum is the steadiest summary; it
    flatters code that runs on several threads, which vary more.

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


def race(rivals, *, rounds=30, burst=30):
    """Time rivals in alternating rounds, so that all meet the same load.

    Args:
        rivals: dict from names to functions that take ``repeats`` and return a
            :class:`Timing`, such as ``functools.partial(best_time, function)``.
        rounds: how often each rival takes its turn, at least 1.
        burst: the calls of each turn, at least 1.

    Returns:
        A dictionary with an array of shape ``(rounds,)`` for each name, the best time
        of each turn in seconds. A first call, which may compile, does not count.

    Raises:
        ValueError: if ``rounds`` or ``burst`` is less than 1.

    Example:
        >>> from functools import partial
        >>> rivals = {n: partial(best_time, sum, range(n)) for n in (10, 10_000)}
        >>> times = race(rivals, rounds=3, burst=5)
        >>> print(times[10].shape, (times[10] < times[10_000]).all())
        (3,) True
    """
    if rounds < 1 or burst < 1:
        raise ValueError(
            f"rounds and burst must be at least 1, got {rounds} and {burst}"
        )
    seconds = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, measure in rivals.items():
            seconds[name].append(measure(repeats=burst).best)
    return {name: np.array(times) for name, times in seconds.items()}


def compile_time(function, *args):
    """Time tracing and compiling a function, without running it.

    Traces and compiles anew at each call, unless JAX's persistent compilation
    cache is on (it is off by default); jitted functions that ``function`` calls
    may come from JAX's cache of traces.

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
    # a jitted function keeps its traces: time the plain one inside it
    plain = function.__wrapped__ if hasattr(function, "lower") else function
    start = perf_counter()
    jax.jit(lambda *args: plain(*args)).lower(*args).compile()
    return perf_counter() - start


def processor():
    """Name the processor.

    Returns:
        The model name where the system tells it, else the architecture.

    Example:
        >>> len(processor()) > 0
        True
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return (models or [platform.processor() or platform.machine()])[0]


def cores():
    """Count the processor cores that we may use.

    Returns:
        How many, as a batch system or a container limits them.

    Example:
        >>> cores() >= 1
        True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine():
    """Name the processor, the cores we may use, JAX's device, and the versions.

    Returns:
        One line of text, to print beside every timing.

    Example:
        >>> "jax" in machine()
        True
    """
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy"))
    device = jax.devices()[0].device_kind
    return f"{processor()}, {cores()} cores; JAX on {device}; {versions}"
