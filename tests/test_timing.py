"""The stop-watch, with a clock that the tests wind themselves."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbayes import timing
from jaxbayes.timing import Timing, best_time, compile_time, machine, processor, race


class Clock:
    """A clock that stands still until it is wound forward."""

    now = 0.0

    def __call__(self):
        return self.now

    def wind(self, seconds):
        self.now += seconds


class Pending:
    """A result that is still being computed, as JAX returns it."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def block_until_ready(self):
        self.clock.wind(self.seconds)
        return self


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock that the module reads."""
    clock = Clock()
    monkeypatch.setattr(timing, "perf_counter", clock)
    return clock


def test_first_call_is_apart_and_the_best_of_the_others_counts(clock):
    durations = iter([1.0, 5.0, 3.0, 4.0])
    result = best_time(lambda: clock.wind(next(durations)), repeats=3)
    assert result == (1.0, 3.0)
    assert (result.first, result.best) == (1.0, 3.0)


@pytest.mark.parametrize(
    "wrap", [lambda r: r, lambda r: {"a": [r, 1]}], ids=["bare", "nested"]
)
def test_unfinished_work_is_waited_for(clock, wrap):
    result = best_time(lambda: wrap(Pending(clock, 2.0)), repeats=1)
    assert result == (2.0, 2.0)


@pytest.mark.parametrize("repeats", [1, 7])
def test_number_of_calls(repeats):
    calls = []
    best_time(lambda *args: calls.append(args), "a", 2, repeats=repeats)
    assert calls == [("a", 2)] * (repeats + 1)


def test_seconds_are_seconds():
    result = best_time(time.sleep, 0.02, repeats=1)
    assert min(result) >= 0.02


def test_jitted_function_is_traced_in_the_first_call(clock):
    def traced(x):
        clock.wind(1.0)
        return jnp.sin(x)

    assert best_time(jax.jit(traced), jnp.ones(3), repeats=2) == (1.0, 0.0)


@pytest.mark.parametrize("repeats", [0, -1])
def test_no_repeats_are_refused(repeats):
    with pytest.raises(ValueError, match=f"repeats must be at least 1, got {repeats}"):
        best_time(lambda: pytest.fail("called"), repeats=repeats)


def test_rivals_take_turns():
    turns = []

    def rival(name, best):
        def measure(repeats):
            turns.append((name, repeats))
            return Timing(9.0, next(best))

        return measure

    rivals = {"a": rival("a", iter([3.0, 1.0])), "b": rival("b", iter([4.0, 2.0]))}
    times = race(rivals, rounds=2, burst=5)
    assert turns == [("a", 5), ("b", 5)] * 2
    assert {name: list(each) for name, each in times.items()} == {
        "a": [3.0, 1.0],
        "b": [4.0, 2.0],
    }


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"burst": -1}])
def test_a_race_of_no_calls_is_refused(wrong):
    with pytest.raises(ValueError, match="rounds and burst must be at least 1"):
        race({}, **wrong)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jitted"])
def test_compile_time_traces_and_compiles_anew_without_running(clock, caplog, wrap):
    runs = []

    def traced(x, y):
        clock.wind(1.0)
        jax.debug.callback(lambda: runs.append(1))
        return jnp.sin(x) + y

    function = wrap(traced)
    with jax.log_compiles():
        seconds = [compile_time(function, jnp.ones(3), 2.0) for _ in range(3)]
    assert seconds == [1.0] * 3
    finished = [text for text in caplog.messages if "XLA compilation" in text]
    assert len(finished) >= 3
    assert not runs
    function(jnp.ones(3), 2.0)
    jax.effects_barrier()
    assert runs


def test_compile_time_takes_real_time():
    assert compile_time(jnp.sin, jnp.ones(3)) > 0


def test_machine_is_one_line_that_names_what_matters():
    line = machine()
    assert "\n" not in line
    assert line.startswith(f"{processor()}, {os.cpu_count()} cores; ")
    assert f"JAX on {jax.devices()[0].device_kind};" in line
    assert f"jax {jax.__version__}, numpy {np.__version__}" in line
