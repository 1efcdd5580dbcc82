"""Write the data files of the package: two that others measured or made, one simulated.

Run ``python benchmarks/files.py Gauss2.dat XRFSpectrum.mca``: the first is from
https://www.itl.nist.gov/div898/strd/nls/data/gauss2.shtml, the second lies in the
folder ``PyMcaData`` of the package PyMca5 (PyPI). Only numbers are taken over.
"""

import sys
from pathlib import Path

import numpy as np

from jaxbayes.models import double_gaussian_numpy

FILES = Path(__file__).parents[1] / "src/jaxbayes/files"
NIST = """\
# Gauss2 of the Statistical Reference Datasets, two Gaussians on a decaying baseline
# Source: NIST/ITL StRD, B. Rust (1996), generated data; a work of the United States
# government, in the public domain. Only the columns were exchanged, the header cut.
# x,y
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


def main(nist, xrf):
    """Write the three files."""
    y, x = np.loadtxt(nist, skiprows=60).T
    write("gauss2.csv", NIST, ("{:.0f}", x), ("{:.5f}", y))
    counts = np.loadtxt(xrf)
    channel = np.arange(2060, 2390)
    write("xrf.csv", XRF, ("{:.0f}", channel), ("{:.0f}", counts[channel]))
    forms = "{:.3f}", "{:.1f}", "{:.0f}", "{:.0f}"
    write("halpha.csv", CCD, *zip(forms, simulate(0), strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
