"""Check that posteriors cover the truth as often as they say, over many data sets.

Simulation-based calibration (Talts et al. 2018). For each key the six parameters are
drawn from the prior of the ordered model and a profile of 1000 points is simulated
from them. Of draws from the right posterior, the share that lies below the truth is
uniform between 0 and 1 over the keys, for each parameter.

Run ``python benchmarks/calibration.py``: about 20 minutes; stopped, it goes on where
it was. Writes ``calibration.csv``: a first line that names the machine, then a row for
each key and each of ``importance`` and ``sample``, this one with a target acceptance of
0.95, where it diverges more than with its 0.98: the six shares, the smallest effective
sample size, and how grave the warning was, if there was one.
"""

import csv
import functools
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import arviz
import numpy as np
from scipy import stats

from jaxbayes.compression import compress
from jaxbayes.data import PARAMETERS, simulate
from jaxbayes.inference import importance, sample
from jaxbayes.models import HIGH, LOW, SITES, ordered_model
from jaxbayes.timing import machine

FILE = Path(__file__).with_name("calibration.csv")
KEYS, POINTS = 300, 1000
METHODS = {
    "importance": importance,
    "sample": functools.partial(sample, target_accept=0.95),
}
COLUMNS = ["method", "key", *PARAMETERS, "ess", "warning"]


def truth_and_data(key):
    """Draw parameters from the prior; simulate a profile, compressed to 64 points."""
    rng = np.random.default_rng([key, 0])
    truth = rng.uniform(LOW, HIGH).reshape(2, 3)
    truth[:, 1].sort()
    return truth.ravel(), compress(simulate(rng, POINTS, params=truth.ravel()))


def run(method, key, **options):
    """Draw from one posterior; return a row of the record."""
    truth, data = truth_and_data(key)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        tree = METHODS[method](ordered_model, data, key, **options)
    params = np.stack([tree.posterior[name].values for name in SITES], axis=-1)
    below = np.mean(params.reshape(-1, 6) < truth, axis=0)
    if method == "importance":
        ess = float(tree.sample_stats["ess"])
    else:
        ess = min(float(v.min()) for v in arviz.ess(tree).data_vars.values())
    said = [str(w.message).partition(":")[0] for w in caught]
    shares = [f"{share:.4f}" for share in below]
    return dict(
        zip(COLUMNS, [method, key, *shares, f"{ess:.0f}", *said, ""], strict=False)
    )


def read():
    """Return the machine and the rows of the record, or None and none."""
    if not FILE.exists():
        return None, []
    first, *rest = FILE.read_text().splitlines()
    return first.removeprefix("# "), list(csv.DictReader(rest))


def uniform(rows):
    """Return the six p-values of Kolmogorov and Smirnov that shares are uniform."""
    shares = [[float(row[name]) for row in rows] for name in PARAMETERS]
    return [stats.kstest(one, "uniform").pvalue for one in shares]


def main():
    """Add the rows that are not there yet, and judge them."""
    where, rows = read()
    if where is None:
        where = f"{machine()}, numpyro {version('numpyro')}"
        FILE.write_text(f"# {where}\n{','.join(COLUMNS)}\n")
    done = {(row["method"], int(row["key"])) for row in rows}
    for key in range(KEYS):
        for method in METHODS:
            if (method, key) not in done:
                begin = time.perf_counter()
                row = run(method, key)
                with FILE.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
                seconds = time.perf_counter() - begin
                print(*row.values(), f"{seconds:.1f} s", file=sys.stderr, flush=True)
    _, rows = read()
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        said = {row["warning"] for row in mine} - {""}
        count = {name: sum(row["warning"] == name for row in mine) for name in said}
        print(method, len(mine), np.round(uniform(mine), 3), count)


if __name__ == "__main__":
    main()
