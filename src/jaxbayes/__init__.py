"""Companion package of the book *Bayesian Inference in JAX*.

Import from the module that holds what you need, for example
``from jaxbayes.fitting import fit``: nothing is imported here, so that each
chapter of the book depends on the modules it names and on no other.
"""

import warnings

# NumPyro imports tqdm.auto, which warns where ipywidgets is missing; a bar of text does
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
