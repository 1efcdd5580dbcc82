"""Fit the problems of NIST's nonlinear regression, and count the digits that are right.

Run ``python benchmarks/nist.py FOLDER``, which writes ``benchmarks/nist.csv``; the
folder is the one of ``benchmarks/files.py``, with all of the family. Nelson is left
out, since it has two predictors and a profile has one.
"""

import csv
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from files import read_nist
from scipy.optimize import curve_fit, minimize

from jaxbayes.fitting import fit
from jaxbayes.timing import machine

jax.config.update("jax_enable_x64", True)


def gauss(b, x):
    """Evaluate two Gaussians on a decay."""
    bells = b[2] * jnp.exp(-(((x - b[3]) / b[4]) ** 2))
    bells += b[5] * jnp.exp(-(((x - b[6]) / b[7]) ** 2))
    return b[0] * jnp.exp(-b[1] * x) + bells


def decays(b, x):
    """Evaluate three decays."""
    return sum(b[k] * jnp.exp(-b[k + 1] * x) for k in (0, 2, 4))


def ratio(top, low):
    """Return the ratio of two polynomials, the lower one with a one in front."""

    def model(b, x):
        below = jnp.concatenate([jnp.ones(1), b[top : top + low]])
        return jnp.polyval(b[:top][::-1], x) / jnp.polyval(below[::-1], x)

    return model


def tides(b, x):
    """Evaluate three cycles, the first with a period of a year."""
    value = b[0]
    for period, k in ((12.0, 1), (b[3], 4), (b[6], 7)):
        phase = 2 * jnp.pi * x / period
        value += b[k] * jnp.cos(phase) + b[k + 1] * jnp.sin(phase)
    return value


def chwirut(b, x):
    """Evaluate a decay over a line."""
    return jnp.exp(-b[0] * x) / (b[1] + b[2] * x)


MODELS = {
    "Misra1a": lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
    "Chwirut2": chwirut,
    "Chwirut1": chwirut,
    "Lanczos3": decays,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Kirby2": ratio(3, 2),
    "Hahn1": ratio(4, 3),
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]),
    "Lanczos1": decays,
    "Lanczos2": decays,
    "Gauss3": gauss,
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Roszman1": lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / jnp.pi,
    "ENSO": tides,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "Thurber": ratio(4, 3),
    "BoxBOD": lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
    "Rat42": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-(((x - b[2]) / b[1]) ** 2) / 2),
    "Rat43": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
}


def digits(ours, certified):
    """Return the number of right digits of the worst value, 11 at most."""
    error = np.abs(np.asarray(ours) / certified - 1)
    return abs(np.log10(np.clip(np.max(np.nan_to_num(error, nan=1.0)), 1e-11, 1)))


def deviations(params, x, y, model):
    """Return standard deviations as NIST defines them, by a QR decomposition."""
    jacobian = np.asarray(jax.jacfwd(model)(jnp.asarray(params), x))
    if not np.all(np.isfinite(jacobian)):
        return np.full(len(params), np.nan)
    lengths = np.linalg.norm(jacobian, axis=0)
    lengths[lengths == 0] = 1
    inverse = np.linalg.pinv(np.linalg.qr(jacobian / lengths).R, rcond=1e-15)
    residual = y - np.asarray(model(params, x))
    variance = residual @ residual / (x.size - len(params))
    return np.sqrt(np.sum(inverse**2, axis=1) * variance) / lengths


def by_fit(x, y, start, model):
    """Fit by the package."""
    best = fit((x, y, 1.0), start, model=model)
    return best.params, best.converged, best.evaluations


def by_curve_fit(x, y, start, model):
    """Fit by SciPy, with its defaults."""
    compiled = jax.jit(model)

    def curve(x, *b):
        return np.asarray(compiled(np.array(b), x))

    try:
        params, _, told, _, _ = curve_fit(curve, x, y, start, full_output=True)
    except RuntimeError:
        return start, False, 0
    return params, True, told["nfev"]


def by_bfgs(x, y, start, model):
    """Fit by SciPy's BFGS with the exact gradient."""

    def chi2(b):
        return jnp.sum((y - model(b, x)) ** 2)

    both = jax.jit(jax.value_and_grad(chi2))
    found = minimize(both, start, jac=True, method="BFGS")
    return found.x, bool(found.success), found.nfev


METHODS = {"fit": by_fit, "curve_fit": by_curve_fit, "BFGS": by_bfgs}


def main(folder):
    """Write the record."""
    warnings.simplefilter("ignore")
    told = "digits", "deviations", "claimed", "evaluations"
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        file.write(f"# {machine()}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["problem", "start", "method", *told])
        for name, model in MODELS.items():
            x, y, found = read_nist(folder, name)
            *starts, certified, errors = np.array(found, dtype=float).T
            for k, start in enumerate(starts, 1):
                for method, solve in METHODS.items():
                    params, claimed, count = solve(x, y, start, model)
                    right = digits(params, certified)
                    of_errors = digits(deviations(params, x, y, model), errors)
                    told = f"{right:.1f}", f"{of_errors:.1f}", int(claimed), count
                    rows.writerow([name, k, method, *told])


if __name__ == "__main__":
    main(*sys.argv[1:])
