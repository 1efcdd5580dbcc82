"""Write the data files of the package: what others measured or made, and simulations.

Run ``python benchmarks/files.py FOLDER XRFSpectrum.mca``. The folder has Gauss2.dat,
Eckerle4.dat, Bennett5.dat and MGH10.dat of
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml, which come too in the folder
``NIST_STRD`` of the source package of lmfit (PyPI). The second file lies in the folder
``PyMcaData`` of the package PyMca5 (PyPI). Only numbers are taken over.
"""

import re
import sys
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from jaxbayes.models import double_gaussian_numpy

FILES = Path(__file__).parents[1] / "src/jaxbayes/files"
#: What each problem of NIST is, and who made it or measured it.
NIST = {
    "Gauss2": (
        "two Gaussians on a decaying baseline",
        "B. Rust (1996), generated data",
    ),
    "Eckerle4": (
        "a peak of transmittance, against wavelength",
        "K. Eckerle (197?), observed data",
    ),
    "Bennett5": (
        "a superconductor's magnetization, against log time",
        "L. Bennett and others (1994), observed data",
    ),
    "MGH10": (
        "Meyer's exponential, known to be hard",
        "R. R. Meyer (1970), generated data",
    ),
}
POINTS = """\
# {} of the Statistical Reference Datasets, {}
# Source: NIST/ITL StRD, {}; a work of the United States
# government, in the public domain. Only the columns were exchanged, the header cut.
# x,y
"""
CERTIFIED = """\
# Certified values of four problems of NIST's Statistical Reference Datasets
# Source: NIST/ITL StRD, nonlinear regression; a work of the United States government,
# in the public domain. A row for each parameter, b1 first.
# problem,start 1,start 2,certified,standard deviation
"""
CLUSTERS = """\
# low_dim_gauss_mix of posteriordb: 1000 numbers drawn from two Gaussians
# Source: stat_comp_benchmarks, Copyright (c) 2017, Stan, BSD 3-clause license. Made
# again by benchmarks/files.py, equal but for the last of 15 digits here and there.
# y
"""
XRF = """\
# X-ray fluorescence of a thin sample of many elements, counts in a channel
# Source: XRFSpectrum.mca of PyMca5 5.9.7, channels 2060 to 2389 counted from 0.
# Copyright 2004-2023 European Synchrotron Radiation Facility (ESRF), MIT license.
# channel,counts
"""
CCD = """\
# Simulated by benchmarks/files.py: H alpha between two lines of [N II], on a CCD
# Columns: wavelength in angstrom, electrons in the pixel, noise, 1 for a bad pixel
# wavelength,electrons,noise,bad
"""
#: [N II], H alpha and [N II]: wavelengths in angstrom, and heights in electrons.
REST, HEIGHTS = [6548.05, 6562.80, 6583.45], [1600.0, 7000.0, 4800.0]
#: The redshift and the width of all three, in angstrom.
SHIFT, WIDTH = 1.3, 0.45
#: The continuum in the middle, and its change from there to the red end, in electrons.
LEVEL, SLOPE = 10_000.0, -900.0
#: The noise of the two amplifiers that read the red and the blue end, in electrons.
READ_NOISE = 90.0, 12.0


def expected():
    """Return wavelengths, falling as on the detector, and the electrons expected."""
    t = np.linspace(1, -1, 360)
    wavelength = 6566 + 54 * t + 0.8 * t**2  # pixels of about 0.3 angstrom
    within = (np.arange(50) + 0.5) / 50 - 0.5
    at = wavelength[:, None] + np.gradient(wavelength)[:, None] * within
    electrons = LEVEL + SLOPE * (wavelength - 6566) / 54
    for rest, height in zip(REST, HEIGHTS, strict=True):
        line = [height, rest + SHIFT, WIDTH, 0, 0, 1]
        electrons += np.mean(double_gaussian_numpy(line, at), axis=1)
    return wavelength, electrons


def simulate(seed):
    """Simulate the spectrum: wavelengths, electrons, variances, whether pixels are bad.

    Thirty pixels are bad and flagged, four have no value, three a cosmic ray.
    """
    rng = np.random.default_rng(seed)
    wavelength, electrons = expected()
    read_noise = np.where(wavelength > 6595, *READ_NOISE)
    variance = electrons + read_noise**2
    electrons = rng.poisson(electrons) + read_noise * rng.standard_normal(360)
    spoiled = rng.permutation(360)[:37]
    bad, missing, hit = np.split(spoiled, [30, 34])
    electrons[bad] = rng.choice([0.0, 65_535.0], 30)
    electrons[missing] = np.nan
    electrons[hit] += rng.uniform(2_000, 8_000, 3)
    return wavelength, electrons, variance, np.isin(np.arange(360), bad)


def write(name, header, *columns):
    """Write columns, each with a format, below a header."""
    rows = zip(*(map(form.format, values) for form, values in columns), strict=True)
    lines = "".join(",".join(row) + "\n" for row in rows)
    (FILES / name).write_text(header + lines)


def uniforms_of_r(seed):
    """Return the function that draws numbers as R does after ``set.seed(seed)``."""
    words = []
    for _ in range(50 + 625):
        seed = (69069 * seed + 1) % 2**32
        words.append(seed)
    state = np.random.RandomState()
    state.set_state(("MT19937", np.array(words[51:], dtype=np.uint32), 624))
    return lambda n: state.randint(0, 2**32, n, dtype=np.uint64) / 2**32


def clusters():
    """Draw the numbers of low_dim_gauss_mix, by the recipe that Betancourt published.

    Identifying Bayesian mixture models (2017): two Gaussians of width 1 at -2.75 and
    2.75, with weights 0.6 and 0.4, and R's seed 689934.
    """
    draw = uniforms_of_r(689934)
    center = np.where(draw(1000) < 0.6, -2.75, 2.75)
    coarse, fine = draw(2000).reshape(1000, 2).T
    return center + ndtri((np.floor(2**27 * coarse) + fine) / 2**27)


def read_nist(folder, name):
    """Read a problem: x, y, and as texts two starts, value and deviation of each b."""
    lines = (Path(folder) / f"{name}.dat").read_text().splitlines()
    y, x = np.loadtxt(lines[60:]).T
    found = re.findall(r"b\d =(.*)", "\n".join(lines[:60]))
    return x, y, [row.split() for row in found]


def write_nist(folder):
    """Write the points of NIST's problems, and the certified values of all."""
    rows = []
    for name, told in NIST.items():
        x, y, found = read_nist(folder, name)
        columns = zip(("{:.9g}", "{:.9g}"), (x, y), strict=True)
        write(f"{name.lower()}.csv", POINTS.format(name, *told), *columns)
        rows += [",".join([name.lower(), *row]) + "\n" for row in found]
    (FILES / "certified.csv").write_text(CERTIFIED + "".join(rows))


def main(nist, xrf):
    """Write all files."""
    write_nist(nist)
    write("clusters.csv", CLUSTERS, ("{:.15g}", clusters()))
    counts = np.loadtxt(xrf)
    channel = np.arange(2060, 2390)
    write("xrf.csv", XRF, ("{:.0f}", channel), ("{:.0f}", counts[channel]))
    forms = "{:.3f}", "{:.1f}", "{:.0f}", "{:.0f}"
    write("halpha.csv", CCD, *zip(forms, simulate(0), strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
