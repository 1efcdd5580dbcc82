"""Time the samplers on the book's example: cold and warm, with their memory.

Each measurement is a process of its own, since compiling, and the peak of the memory,
are part of it; rivals take turns. Seconds leave out the imports. The rivals:

- ``importance`` and ``sample``: of ``jaxbayes.inference``, on compressed data;
- ``recipe``: the recipe of the tutorial that the book grew out of, on all points:
  NumPyro's NUTS in single precision with a dense mass matrix, its default start, four
  chains of 1,000 and 5,000 steps. A run with a stuck chain counts with the effective
  draws that it has.

Run ``python benchmarks/speed.py [rounds]`` on a quiet machine: some minutes a round.
Prints a line for each measurement, and writes the medians to ``speed.csv``.
"""

import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

FILE = Path(__file__).with_name("speed.csv")
RIVALS = ("importance", "sample", "recipe")
WARM = {"importance": 5, "sample": 3, "recipe": 0}  # further runs in the same process


def run_importance(seed):
    """Draw by importance sampling; return the effective number of draws."""
    from jaxbayes.compression import compress
    from jaxbayes.data import simulate
    from jaxbayes.inference import importance
    from jaxbayes.models import ordered_model

    data = compress(simulate(seed))
    begin = time.perf_counter()
    tree = importance(ordered_model, data, seed)
    return time.perf_counter() - begin, float(tree.sample_stats["ess"])


def run_sample(seed):
    """Draw by NUTS; return the smallest bulk effective sample size."""
    import arviz

    from jaxbayes.compression import compress
    from jaxbayes.data import simulate
    from jaxbayes.inference import sample
    from jaxbayes.models import ordered_model

    data = compress(simulate(seed))
    begin = time.perf_counter()
    tree = sample(ordered_model, data, seed)
    seconds = time.perf_counter() - begin
    return seconds, min(float(v.min()) for v in arviz.ess(tree).data_vars.values())


def run_recipe(seed):
    """Draw as the tutorial does; return the smallest bulk effective sample size."""
    import arviz
    import jax
    from numpyro.infer import MCMC, NUTS

    from jaxbayes.data import simulate
    from jaxbayes.models import ordered_model

    data = simulate(seed)
    begin = time.perf_counter()
    sampler = MCMC(
        NUTS(ordered_model, dense_mass=True),
        num_warmup=1000,
        num_samples=5000,
        num_chains=4,
        chain_method="parallel",
        progress_bar=False,
    )
    sampler.run(jax.random.key(seed), *data)
    jax.block_until_ready(sampler.get_samples())
    seconds = time.perf_counter() - begin
    ess = arviz.ess(arviz.from_numpyro(sampler))
    return seconds, min(float(v.min()) for v in ess.data_vars.values())


def measure(rival, seed):
    """Time one rival in this process, and print what came out."""
    import jax

    if rival == "recipe":
        jax.config.update("jax_num_cpu_devices", 4)
    import arviz  # noqa: F401  (imports are not timed)
    import numpyro  # noqa: F401

    import jaxbayes.inference  # noqa: F401
    from jaxbayes.timing import machine

    run = {"importance": run_importance, "sample": run_sample, "recipe": run_recipe}
    seconds, ess = run[rival](seed)
    warm = [run[rival](seed + 1 + i) for i in range(WARM[rival])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told = {"seconds": seconds, "ess": ess, "warm": warm, "peak_GiB": peak}
    print(json.dumps({**told, "machine": machine()}))


def main(rounds):
    """Let the rivals take turns, and write the medians."""
    found = {rival: [] for rival in RIVALS}
    for i in range(rounds):
        for rival in RIVALS:
            command = [sys.executable, __file__, rival, str(10 * i)]
            told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            found[rival].append(json.loads(told.stdout.splitlines()[-1]))
            one = found[rival][-1]
            warm = [f"{s:.3f} s, ESS {e:.0f}" for s, e in one["warm"]]
            print(
                f"{rival:10} cold {one['seconds']:.2f} s, ESS {one['ess']:.0f}, "
                f"{one['peak_GiB']:.2f} GiB; warm: {'; '.join(warm)}",
                flush=True,
            )
    with FILE.open("w", newline="") as stream:
        stream.write(f"# {found['recipe'][0]['machine']}\n")
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(
            ["rival", "cold_s", "ess", "peak_GiB", "warm_s", "warm_ess_per_s"]
        )
        for rival, runs in found.items():
            warm = [pair for one in runs for pair in one["warm"]] or [
                (one["seconds"], one["ess"]) for one in runs
            ]
            columns = (
                [one["seconds"] for one in runs],
                [one["ess"] for one in runs],
                [one["peak_GiB"] for one in runs],
                [seconds for seconds, _ in warm],
                [ess / seconds for seconds, ess in warm],
            )
            table.writerow([rival, *(f"{statistics.median(c):.4g}" for c in columns)])


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in RIVALS:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3)
