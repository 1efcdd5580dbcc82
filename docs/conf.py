"""Sphinx configuration of Bayesian Inference in JAX."""

import os
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
BUILD = HERE / "_build"
sys.path.insert(0, str(HERE))
metadata = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]

project = "Bayesian Inference in JAX"
author = "the authors of Bayesian Inference in JAX"
copyright = f"2026, {author}"
version = release = metadata["version"]
language = "en"

extensions = [
    "myst_nb",
    *(f"sphinx.ext.{name}" for name in ("autodoc", "napoleon", "intersphinx")),
    *(f"sphinx_{name}" for name in ("codeautolink", "copybutton", "design")),
    *(f"sphinx_{name}" for name in ("exercise", "togglebutton")),
    *("sphinxcontrib.bibtex", "sphinxext.opengraph", "notfound.extension"),
    *("_ext.execution", "_ext.takeaway", "_ext.pages"),  # ours
]
exclude_patterns = ["_build", "_ipython", "_templates"]
nitpicky = True
add_module_names = False
numfig = True
numfig_format = {"figure": "Fig.\N{NO-BREAK SPACE}%s"}

nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "executed")
nb_execution_timeout = 300  # seconds a cell, on a slow machine
nb_execution_raise_on_error = True
nb_output_stderr = "remove-warn"  # with -W: no chapter prints to stderr
execution_source_roots = ["../src"]
execution_packages = [
    *("jax", "jaxlib", "numpyro", "numpy", "scipy"),
    *("arviz", "corner", "matplotlib", "ipykernel"),
]
execution_versions_shown = ["jax", "numpyro", "numpy", "scipy", "arviz", "matplotlib"]
execution_settings = [
    "../requirements.txt",
    "matplotlibrc",
    "_ipython/profile_default/ipython_kernel_config.py",
]
execution_environment = {
    "IPYTHONDIR": str(HERE / "_ipython"),
    "MATPLOTLIBRC": str(HERE / "matplotlibrc"),
    "JAX_PLATFORMS": "cpu",
    "OPENBLAS_NUM_THREADS": "1",  # our matrices are small: its threads only wait
    "JAX_COMPILATION_CACHE_DIR": str(BUILD / "jax_cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath", "substitution"]
repository = f"[the book's repository]({metadata['urls']['Repository']})"
myst_substitutions = {"repository": repository}

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"
napoleon_use_ivar = True
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
codeautolink_concat_default = True
copybutton_selector = "div.highlight pre:not(.cell_output pre)"
# Lists of the pages that we link to; nothing is fetched when the book is built.
intersphinx_mapping = {
    name: (url, str(HERE / "_inventories" / f"{name}.inv"))
    for name, url in {
        "python": "https://docs.python.org/3",
        "numpy": "https://numpy.org/doc/stable",
        "scipy": "https://docs.scipy.org/doc/scipy",
        "matplotlib": "https://matplotlib.org/stable",
        "jax": "https://docs.jax.dev/en/latest",
        "numpyro": "https://num.pyro.ai/en/stable",
        "xarray": "https://docs.xarray.dev/en/stable",
    }.items()
}

html_theme = "sphinx_book_theme"
html_title = project
html_baseurl = os.environ.get(
    "READTHEDOCS_CANONICAL_URL", metadata["urls"]["Documentation"]
)
notfound_urls_prefix = urlsplit(html_baseurl).path
notfound_context = {
    "title": "Page not found",
    "body": f"""<h1>Page not found</h1>
<p>The book has no page at this address.
<a href="{notfound_urls_prefix}index.html">The first page</a> lists them all,
and <a href="{notfound_urls_prefix}search.html">a search</a> finds words in them.</p>
""",
}
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["book.css"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],  # else a dead sidebar button and a second search box
    "repository_url": metadata["urls"]["Repository"],
    "use_repository_button": True,
    "use_download_button": False,
    "show_toc_level": 2,
    "footer_content_items": ["copyright.html"],
}
html_math_renderer = "mathjax"
mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}
ogp_site_url = html_baseurl
ogp_social_cards = {"enable": False}  # see _ext/pages/metadata.py
ogp_custom_meta_tags = ['<meta name="twitter:card" content="summary_large_image" />']
epub_identifier = epub_uid = "bayesian-inference-in-jax"
epub_description = "From NumPy to a posterior that can be trusted: an executable book."
epub_contributor = epub_author = epub_publisher = author
epub_cover = ("_static/posterior.png", "")
epub_show_urls = "no"
