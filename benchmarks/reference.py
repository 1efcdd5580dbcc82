"""Make the reference for the posterior of the tutorial's data, by two samplers.

The first is NumPyro's NUTS on the ordered model and the compressed data, eight chains
from ``starting_points``, in double precision. The second shares nothing with
it: the stretch move of Goodman and Weare (2010), written out below in NumPy, in the
parameters themselves, with bounds and order as zero density, and chi squared of all
20,000 points. The two must agree within Monte Carlo error, or nothing is written.

Run ``python benchmarks/reference.py``: about 3 minutes. Writes
``tests/reference_posterior.csv``, a row for each parameter, from NUTS, with the mean of
the second sampler beside it, and ``benchmarks/reference.json``: settings, agreement,
machine and seconds.
"""

import csv
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import arviz
import jax
import numpy as np
from jax import lax
from numpyro.infer import MCMC, NUTS, init_to_value
from scipy import stats

from jaxbayes.compression import compress
from jaxbayes.data import PARAMETERS, simulate
from jaxbayes.fitting import chi2_numpy
from jaxbayes.inference import starting_points
from jaxbayes.models import HIGH, LOW, SITES, ordered_model, to_params
from jaxbayes.timing import machine

REPORT = Path(__file__).with_name("reference.json")
TABLE = Path(__file__).parents[1] / "tests" / "reference_posterior.csv"
CHAINS, WARMUP, DRAWS = 8, 2000, 25_000
WALKERS, STEPS, BURN = 64, 20_000, 2000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FALSE_ALARM = 1e-3  # how often the two samplers may be said to differ if they do not


@jax.jit
def run_nuts(keys, data, starts):
    """Run chains of NUTS; return draws, divergences and gradients taken."""

    def run(arguments):
        key, start = arguments
        kernel = NUTS(
            ordered_model,
            dense_mass=True,
            target_accept_prob=0.98,
            init_strategy=init_to_value(values=start),
        )
        mcmc = MCMC(kernel, num_warmup=WARMUP, num_samples=DRAWS, progress_bar=False)
        mcmc.run(key, *data, extra_fields=("diverging", "num_steps"))
        stats = mcmc.get_extra_fields()
        params = to_params(**mcmc.get_samples())
        return params, stats["diverging"].sum(), stats["num_steps"].sum()

    return lax.map(run, (keys, starts))


def stretch(log_density, walkers, steps, rng):
    """Run the affine-invariant ensemble sampler; return ``(steps, walkers, P)``."""
    half, size = len(walkers) // 2, walkers.shape[1]
    walkers = walkers.copy()
    density = np.array([log_density(params) for params in walkers])
    kept = np.empty((steps, *walkers.shape))
    first, second = slice(half), slice(half, None)
    for step in range(steps):
        for movers, others in ((first, second), (second, first)):
            z = (1 + rng.uniform(size=half)) ** 2 / 2  # of density 1 / sqrt(z)
            partners = walkers[others][rng.integers(half, size=half)]
            proposal = partners + z[:, None] * (walkers[movers] - partners)
            new = np.array([log_density(params) for params in proposal])
            log_ratio = (size - 1) * np.log(z) + new - density[movers]
            accept = np.log(rng.uniform(size=half)) < log_ratio
            walkers[movers] = np.where(accept[:, None], proposal, walkers[movers])
            density[movers] = np.where(accept, new, density[movers])
        kept[step] = walkers
    return kept


def batch_error(series, batches=50):
    """Estimate the Monte Carlo error of a mean over time from means of batches."""
    means = [np.mean(part, axis=0) for part in np.array_split(series, batches)]
    return np.std(means, axis=0, ddof=1) / np.sqrt(batches)


def main():
    """Run both samplers, compare, and write."""
    jax.config.update("jax_enable_x64", True)
    profile = simulate(np.random.RandomState(0))
    begin = time.perf_counter()
    keys = jax.random.split(jax.random.key(0), CHAINS)
    small = compress(profile)
    starts = starting_points(ordered_model, small, 0, num_chains=CHAINS).params
    found = run_nuts(keys, small, starts)
    draws, diverging, gradients = (np.asarray(one) for one in found)
    of_each = {name: draws[..., i] for i, name in enumerate(PARAMETERS)}
    tree = arviz.from_dict({"posterior": of_each})
    rhat, ess = arviz.rhat(tree), arviz.ess(tree)
    error, sd_error = arviz.mcse(tree), arviz.mcse(tree, method="sd")
    nuts_seconds = time.perf_counter() - begin

    def log_density(params):
        if np.any((params < LOW) | (params > HIGH)) or params[1] > params[4]:
            return -np.inf
        return -chi2_numpy(params, *profile) / 2

    begin = time.perf_counter()
    points = starting_points(ordered_model, small, 1, num_chains=WALKERS).params
    walkers = np.stack([points[name] for name in SITES], axis=-1).reshape(WALKERS, 6)
    kept = stretch(log_density, walkers, STEPS, np.random.default_rng(1))[BURN:]
    stretch_seconds = time.perf_counter() - begin
    over_walkers = kept.mean(axis=1)
    check, check_error = over_walkers.mean(axis=0), batch_error(over_walkers)

    means = draws.mean(axis=(0, 1))
    errors = np.array([float(error[name]) for name in PARAMETERS])
    pull = (means - check) / np.hypot(errors, check_error)
    report = {
        "nuts": {
            "chains": CHAINS,
            "warmup": WARMUP,
            "draws": DRAWS,
            "divergences": int(diverging.sum()),
            "gradients": int(gradients.sum()),
            "largest_rhat": max(float(rhat[name]) for name in PARAMETERS),
            "smallest_bulk_ess": min(float(ess[name]) for name in PARAMETERS),
            "seconds": round(nuts_seconds),
        },
        "stretch": {
            "walkers": WALKERS,
            "steps": STEPS,
            "dropped": BURN,
            "seconds": round(stretch_seconds),
        },
        "difference_in_errors": dict(zip(PARAMETERS, pull.round(2), strict=True)),
        "ratio_of_sd": dict(
            zip(
                PARAMETERS, (kept.std((0, 1)) / draws.std((0, 1))).round(3), strict=True
            )
        ),
        "machine": f"{machine()}, numpyro {version('numpyro')}",
    }
    text = json.dumps(report, indent=2)
    print(text)
    if np.max(np.abs(pull)) > stats.t(49).isf(FALSE_ALARM / 12):
        sys.exit("the two samplers disagree: nothing written")
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [f"q{round(100 * q):02}" for q in QUANTILES]
        header = ["parameter", "mean", "sd", "mcse_mean", "mcse_sd", *names]
        writer.writerow([*header, "check_mean", "check_mcse"])
        for i, name in enumerate(PARAMETERS):
            values = draws[..., i]
            row = [means[i], values.std(), errors[i], float(sd_error[name])]
            row += [*np.quantile(values, QUANTILES), check[i], check_error[i]]
            writer.writerow([name, *(f"{value:.7f}" for value in row)])
    REPORT.write_text(text + "\n")


if __name__ == "__main__":
    main()
