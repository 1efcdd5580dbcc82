"""Count runs in which a chain sticks where there is no posterior mass to speak of.

For each way to start and each key: four chains of NUTS, 500 steps of warm-up, and 100
draws, enough to see where a chain sits. A chain counts as stuck if chi squared is,
averaged over its draws, more than 100 above that of the true parameters: odds below
exp(-50). ``starting_points`` is ``jaxbayes.inference.sample`` with a target acceptance
of 0.95, which is faster than its 0.98 and starts at the same points; the rivals are
NumPyro's own ``MCMC(NUTS(...))`` from NumPyro's strategies, with a dense mass
matrix and a target of 0.98. All in double precision.

Data: ``tutorial`` is ``simulate(np.random.RandomState(0), n)`` whatever the key,
``fresh`` is ``simulate(key, n)``, another data set for each key, both compressed to 64
points, with the ordered model; ``two peaks`` is another data set for each key too, of
two peaks well apart, of amplitudes 20 and 12, with wide priors and no order.

Run ``python benchmarks/stuck.py``: about an hour; stopped, it goes on where it was.
Writes ``stuck.csv``, a row for each kind of data and start: how many runs had a stuck
chain, how many chains were stuck, how many of them with a mean at the lower end of its
prior (within 0.1), at the upper end and elsewhere, their median price in chi squared,
and the highest price of a chain that is not stuck.
"""

import csv
import functools
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax
from numpyro.infer import MCMC, NUTS, init_to_median, init_to_sample, init_to_uniform

from jaxbayes.compression import compress
from jaxbayes.data import TRUTH, simulate
from jaxbayes.fitting import chi2_numpy
from jaxbayes.inference import sample
from jaxbayes.models import SITES, double_gaussian, ordered_model, to_params
from jaxbayes.timing import machine

FILE = Path(__file__).with_name("stuck.csv")
KEYS, CHAINS, WARMUP, DRAWS, PRICE = 200, 4, 500, 100, 100
STRATEGIES = {
    "starting_points": None,
    "init_to_uniform": init_to_uniform,  # NumPyro's default
    "init_to_sample": init_to_sample,
    "init_to_median": init_to_median,
}
PEAKS = np.array([20, -2, 0.8, 12, 2.5, 1.2])
ROWS = [
    *(
        (kind, n, "starting_points")
        for kind in ("tutorial", "fresh")
        for n in (200, 20_000)
    ),
    ("two peaks", 200, "starting_points"),
    *(("two peaks", 200, name) for name in list(STRATEGIES)[1:]),
    *(("tutorial", n, name) for n in (200, 20_000) for name in list(STRATEGIES)[1:]),
    *(("fresh", n, "init_to_median") for n in (200, 20_000)),
]


def wide_model(x, y, yerr):
    """State two Gaussians with wide priors."""
    with numpyro.plate("component", 2):
        amplitude = numpyro.sample("amplitude", dist.Uniform(0, 50))
        mean = numpyro.sample("mean", dist.Uniform(-10, 10))
        width = numpyro.sample("width", dist.Uniform(0.1, 5))
    curve = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(curve, yerr), obs=y)


def model_and_data(kind, n, key):
    """Return a model, its data, the truth, and the end of the prior of the means."""
    if kind == "two peaks":
        return wide_model, simulate(key, n, params=PEAKS), PEAKS, 10
    seed = key if kind == "fresh" else np.random.RandomState(0)
    return ordered_model, compress(simulate(seed, n)), TRUTH, 4


@functools.partial(jax.jit, static_argnames=("model", "name"))
def run_numpyro(keys, data, model, name):
    """Run chains of NumPyro's one by one in one program; return their parameters."""

    def run(key):
        kernel = NUTS(
            model,
            dense_mass=True,
            target_accept_prob=0.98,
            init_strategy=STRATEGIES[name],
        )
        mcmc = MCMC(kernel, num_warmup=WARMUP, num_samples=DRAWS, progress_bar=False)
        mcmc.run(key, *data)
        return to_params(**mcmc.get_samples())

    return lax.map(run, keys)


def run(kind, n, name, key):
    """Run four chains.

    Returns the mean parameters of each, of shape ``(chains, 6)``, and its price, chi
    squared above that of the truth, of shape ``(chains,)``.
    """
    model, data, truth, _ = model_and_data(kind, n, key)
    if name == "starting_points":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of so few draws
            options = {"num_chains": CHAINS, "num_warmup": WARMUP}
            options |= {"num_samples": DRAWS, "target_accept": 0.95}
            tree = sample(model, data, key, **options)
        sites = [tree.posterior[name].values for name in SITES]
        draws = np.stack(sites, axis=-1).reshape(CHAINS, DRAWS, 6)
    else:
        with jax.enable_x64(True):
            keys = jax.random.split(jax.random.key(key), CHAINS)
            data = jax.tree.map(jnp.asarray, data)
            draws = np.asarray(run_numpyro(keys, data, model, name))
    chi2 = [[chi2_numpy(params, *data) for params in chain] for chain in draws]
    return draws.mean(axis=1), np.mean(chi2, axis=1) - chi2_numpy(truth, *data)


def summary(means, prices, end):
    """Count what is stuck, and where."""
    stuck = prices > PRICE
    places = means[stuck][:, [1, 4]]
    low, high = np.any(places < 0.1 - end, axis=1), np.any(places > end - 0.1, axis=1)
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


def add_row(path, row, begin):
    """Append a row to a record, with its seconds and the machine, and print it."""
    row["seconds"] = f"{time.perf_counter() - begin:.0f}"
    row["machine"] = f"{machine()}, numpyro {version('numpyro')}"
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if not file.tell():
            writer.writeheader()
        writer.writerow(row)
    print(*row.values(), flush=True)


def main():
    """Add the rows that are not there yet."""
    done = list(csv.DictReader(FILE.open())) if FILE.exists() else []
    seen = {(row["data"], int(row["n"]), row["start"]) for row in done}
    for kind, n, name in ROWS:
        if (kind, n, name) in seen:
            continue
        begin = time.perf_counter()
        found = [run(kind, n, name, key) for key in range(KEYS)]
        means, prices = (np.array(one) for one in zip(*found, strict=True))
        row = {"data": kind, "n": n, "start": name}
        row |= summary(means, prices, model_and_data(kind, n, 0)[-1])
        add_row(FILE, row, begin)


if __name__ == "__main__":
    main()
