"""Count runs with a stuck chain under hard and under soft priors.

Four models of the same data: the means in order or free, and the box of the book
(every prior uniform between hard ends) or soft priors of the scales of the data. Each
gets runs of four chains of NUTS from NumPyro's default start, 500 steps of warm-up
and 100 draws, as in ``stuck.py``, whose program it uses. The labels of a free model
are sorted by the means afterwards.

The data are ``simulate(np.random.RandomState(0), n)``, compressed to 128 points, which
serve Gaussians down to a width of 0.15; soft priors may ask for narrower ones than the
box, which ends at 0.5.

A chain is stuck if chi squared of its last draws, on average over 20 of them, is more
than 30 above the least that the model allows: odds below exp(-15). That least value
is known without any chain, since a fit that starts at the true parameters finds it.
(With 200 points one Gaussian alone is 57 above it; a limit of 60 would not see chains
that have lost the other.) A chain whose chi squared still comes down, by more than 60
over its draws, is slow, not stuck, and is counted by itself.

Run ``python benchmarks/priors.py``: about ten minutes; stopped, it goes on where it
was. Writes ``priors.csv``, a row for each number of points and model: how many runs
had a stuck chain, how many chains were stuck; how many of these had a mean within 0.1
of an end of the box, both means within 0.1 of each other, or neither; how many chains
were slow; the median excess of the stuck chains and the highest of those that had
arrived; and three quantiles of the left amplitude over the draws of these.
"""

import csv
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions.transforms import OrderedTransform
from stuck import CHAINS, add_row, run_numpyro

from jaxbayes.compression import compress
from jaxbayes.data import TRUTH, simulate
from jaxbayes.fitting import chi2, fit
from jaxbayes.models import (
    double_gaussian,
    free_model,
    ordered_model,
    relabel,
    to_params,
)

FILE = Path(__file__).with_name("priors.csv")
RUNS, EXCESS, FALL, LAST = 100, 30, 60, 20
SIZES, POINTS = (20_000, 200), 128


def soft(x, y, yerr, *, ordered):
    """State two Gaussians with priors that have no edge but at amplitude zero."""
    normal = dist.Normal(0, 2)
    with numpyro.plate("component", 2):
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(2))
        width = numpyro.sample("width", dist.LogNormal(0, 0.5))
        mean = None if ordered else numpyro.sample("mean", normal)
    if ordered:  # the first is Normal, the gap to the second LogNormal
        pair = normal.expand([2]).to_event(1)
        prior = dist.TransformedDistribution(pair, OrderedTransform())
        mean = numpyro.sample("mean", prior)
    curve = double_gaussian(to_params(amplitude, mean, width), x)
    numpyro.sample("y", dist.Normal(curve, yerr), obs=y)


def soft_free(x, y, yerr):
    """State the model whose labels are sorted afterwards."""
    soft(x, y, yerr, ordered=False)


def soft_ordered(x, y, yerr):
    """State the model with NumPyro's own prior for ordered values."""
    soft(x, y, yerr, ordered=True)


MODELS = {
    ("ordered", "box"): ordered_model,
    ("ordered", "soft"): soft_ordered,
    ("free", "box"): free_model,
    ("free", "soft"): soft_free,
}


def sweep(model, n, runs, seed=0):
    """Run the chains of one row.

    Returns the parameters, of shape ``(runs, CHAINS, draws, 6)``, sorted by the means,
    and chi squared of each draw above the least.
    """
    with jax.enable_x64(True):
        data = compress(simulate(np.random.RandomState(0), n), POINTS)
        data = jax.tree.map(jnp.asarray, data)
        keys = jax.random.split(jax.random.key(seed), runs * CHAINS)
        draws = np.asarray(run_numpyro(keys, data, model, "init_to_uniform"))
        of_draws = jax.jit(jax.vmap(jax.vmap(lambda p: chi2(p, *data))))
        excess = np.asarray(of_draws(draws)) - fit(data, TRUTH).chi2
    shape = (runs, CHAINS, -1)
    return relabel(draws).reshape(*shape, 6), excess.reshape(shape)


def summary(params, excess):
    """Count what is stuck, and where, and describe the rest."""
    end = excess[..., -LAST:].mean(axis=-1)
    slow = excess[..., :LAST].mean(axis=-1) - end > FALL
    stuck = (end > EXCESS) & ~slow
    arrived = (end <= EXCESS) & ~slow
    place = params[stuck][:, -LAST:].mean(axis=1)[:, [1, 4]]
    edge = np.any(np.abs(place) > 3.9, axis=-1)
    tie = (place[:, 1] - place[:, 0] < 0.1) & ~edge
    row = {
        "runs": len(stuck),
        "stuck_runs": np.sum(np.any(stuck, axis=1)),
        "stuck_chains": np.sum(stuck),
        "at_an_end": np.sum(edge),
        "tied": np.sum(tie),
        "elsewhere": np.sum(~edge & ~tie),
        "slow_chains": np.sum(slow),
        "median_excess": f"{np.median(end[stuck]):.0f}" if np.any(stuck) else "",
        "highest_of_arrived": f"{np.max(end[arrived]):.0f}",
    }
    for percent in (16, 50, 84):
        quantile = np.percentile(params[arrived][..., 0], percent)
        row[f"left_amplitude_{percent}"] = f"{quantile:.4f}"
    return row


def main():
    """Add the rows that are not there yet."""
    done = list(csv.DictReader(FILE.open())) if FILE.exists() else []
    seen = {(int(row["n"]), row["means"], row["prior"]) for row in done}
    for n in SIZES:
        for (means, prior), model in MODELS.items():
            if (n, means, prior) in seen:
                continue
            begin = time.perf_counter()
            row = {"n": n, "means": means, "prior": prior}
            row |= summary(*sweep(model, n, RUNS))
            add_row(FILE, row, begin)


if __name__ == "__main__":
    main()
