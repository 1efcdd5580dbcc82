"""Count runs in which a chain sticks where there is no posterior mass to speak of.

For each way to start and each key: four chains of NUTS on the ordered model, 500 steps
of warm-up, as ``jaxbayes.inference.sample`` takes by default, and 100 draws, enough to
see where a chain sits. A chain counts as stuck if chi squared is, averaged over its
draws, more than 100 above that of the true parameters: odds below exp(-50). The
likelihood is the one of ``cheap.py``, that of all points to 1e-6 in chi squared, in
double precision; keys, kernel and adaptation are those of ``sample``.

Data: ``tutorial`` is ``simulate(np.random.RandomState(0), n)`` whatever the key,
``fresh`` is ``simulate(key, n)``: another data set for each key.

Run ``python benchmarks/stuck.py``: about 25 minutes; stopped, it goes on where it was.
Writes ``stuck.csv``, a row for each kind of data and start: how many runs had a stuck
chain, how many chains were stuck, how many of them at the lower end of the means
(x0 < -3.9), at the upper end (x1 > 3.9) and elsewhere, their median price in chi
squared, and the highest price of a chain that is not stuck.
"""

import csv
import functools
import time
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from cheap import chi2_cheap, compress, ordered_cheap
from jax import lax
from numpyro.infer import (
    MCMC,
    NUTS,
    init_to_median,
    init_to_sample,
    init_to_uniform,
    init_to_value,
)

from jaxbayes.data import TRUTH, simulate
from jaxbayes.inference import starting_points, to_params
from jaxbayes.timing import machine

FILE = Path(__file__).with_name("stuck.csv")
KEYS, CHAINS, WARMUP, DRAWS, PRICE = 200, 4, 500, 100, 100
STRATEGIES = {
    "starting_points": None,
    "init_to_uniform": init_to_uniform,  # NumPyro's default
    "init_to_sample": init_to_sample,
    "init_to_median": init_to_median,
}
ROWS = [
    *(("tutorial", n, name) for n in (20_000, 200) for name in STRATEGIES),
    *(("fresh", n, name) for n in (20_000, 200) for name in list(STRATEGIES)[::3]),
]


@functools.partial(jax.jit, static_argnames=("name", "warmup", "draws"))
def run_chains(keys, data, starts, name, warmup, draws):
    """Run chains one by one in one program; return their draws of the parameters."""

    def run(arguments):
        key, data, start = arguments
        kernel = NUTS(
            ordered_cheap,
            dense_mass=True,
            target_accept_prob=0.98,
            init_strategy=STRATEGIES[name] or init_to_value(values=start),
        )
        mcmc = MCMC(kernel, num_warmup=warmup, num_samples=draws, progress_bar=False)
        mcmc.run(key, *data)
        return to_params(**mcmc.get_samples())

    return lax.map(run, (keys, data, starts))


def runs(kind, n, name, keys=range(KEYS), warmup=WARMUP, draws=DRAWS):
    """Run four chains for each key.

    Returns their draws, of shape ``(keys, chains, draws, 6)``, and the compressed
    data of each chain, a list.
    """
    profiles, data, starts, split = [], [], [], []
    for key in keys:
        fresh = kind == "fresh" or not profiles
        seed = key if kind == "fresh" else np.random.RandomState(0)
        profiles.append(simulate(seed, n) if fresh else profiles[0])
        data += CHAINS * [compress(profiles[-1]) if fresh else data[0]]
        if STRATEGIES[name] is None:
            points = starting_points(profiles[-1], key, CHAINS)
            starts += [{k: v[i] for k, v in points.items()} for i in range(CHAINS)]
        else:
            starts += CHAINS * [{}]
        split.append(jax.random.split(jax.random.key(key), CHAINS))
    stacked = jax.tree.map(
        lambda *leaves: np.stack(leaves), *zip(data, starts, strict=True)
    )
    values = run_chains(jnp.concatenate(split), *stacked, name, warmup, draws)
    return np.asarray(values).reshape(-1, CHAINS, draws, 6), data


def sweep(*arguments):
    """Run four chains for each key, with the arguments of ``runs``.

    Returns the mean parameters of each chain, of shape ``(keys, chains, 6)``, and its
    price, chi squared above that of the truth, of shape ``(keys, chains)``.
    """
    values, data = runs(*arguments)
    prices = [
        np.mean([chi2_cheap(params, one) for params in chain]) - chi2_cheap(TRUTH, one)
        for chain, one in zip(values.reshape(-1, *values.shape[2:]), data, strict=True)
    ]
    return values.mean(axis=2), np.reshape(prices, (-1, CHAINS))


def summary(means, prices):
    """Count what is stuck, and where."""
    stuck = prices > PRICE
    low, high = means[stuck][:, 1] < -3.9, means[stuck][:, 4] > 3.9
    return {
        "runs": len(prices),
        "stuck_runs": np.sum(np.any(stuck, axis=1)),
        "stuck_chains": np.sum(stuck),
        "at_lower_end": np.sum(low),
        "at_upper_end": np.sum(high & ~low),
        "elsewhere": np.sum(~low & ~high),
        "median_price": f"{np.median(prices[stuck]):.0f}" if np.any(stuck) else "",
        "highest_price_of_others": f"{np.max(prices[~stuck]):.0f}",
    }


def main():
    """Add the rows that are not there yet."""
    jax.config.update("jax_enable_x64", True)
    done = list(csv.DictReader(FILE.open())) if FILE.exists() else []
    seen = {(row["data"], int(row["n"]), row["start"]) for row in done}
    for kind, n, name in ROWS:
        if (kind, n, name) in seen:
            continue
        begin = time.perf_counter()
        found = {"data": kind, "n": n, "start": name}
        found |= summary(*sweep(kind, n, name))
        found["seconds"] = f"{time.perf_counter() - begin:.0f}"
        found["machine"] = f"{machine()}, numpyro {version('numpyro')}"
        with FILE.open("a", newline="") as file:
            writer = csv.DictWriter(file, found)
            if not file.tell():
                writer.writeheader()
            writer.writerow(found)
        print(*found.values(), flush=True)


if __name__ == "__main__":
    main()
