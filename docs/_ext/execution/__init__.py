"""Execute the notebooks of a MyST-NB book before Sphinx reads them.

Each where its page stands, several at a time, and again only when something
changed on which its outputs depend. Nothing in this folder knows what the book
is about, so it can be copied into another one. In the order of a build:

- ``freshness`` writes into a notebook's kernelspec what its outputs depend on;
  ``dependencies`` finds that, by following imports;
- ``notebooks`` reads a page as the notebook that is executed;
- ``cache`` is MyST-NB's own cache, with checksums;
- ``run`` executes the notebooks that the cache does not hold, and ``figures``
  makes their figures smaller;
- ``provenance`` says at the foot of each page when and on what it ran;
- ``report`` says how the build ended.

Besides MyST-NB's settings (``nb_execution_cache_path``, ``nb_execution_timeout``),
``conf.py`` may set these. Paths start from the folder of the sources.

- ``execution_source_roots``: the folders of the packages that notebooks import
  and that change with the book. A change of a module executes the notebooks that
  reach it.
- ``execution_packages``: the installed packages, by name, another version of
  which executes every notebook;
- ``execution_settings``: files another content of which does so too: pins, styles,
  the kernel's profile;
- ``execution_environment``: the variables that each kernel inherits, and with
  other values the same;
- ``execution_versions_shown``: the packages whose versions stand at the foot of
  a page that imported them.

A notebook with ``alone: true`` in its front matter is executed after the others,
by itself, so that it can measure time.
"""

from pathlib import Path

from . import freshness, provenance, report, run
from .dependencies import digest

VERSION = int(digest(Path(__path__[0]).glob("*.py"))[:12], 16)  # pages are read again


def setup(app):
    """Name the settings, and connect each module in its turn."""
    app.add_config_value("execution_source_roots", [], "env", list)
    app.add_config_value("execution_packages", [], "env", list)
    app.add_config_value("execution_settings", [], "env", list)
    app.add_config_value("execution_environment", {}, "env", dict)
    app.add_config_value("execution_versions_shown", [], "env", list)
    for module in (freshness, run, provenance, report):
        module.setup(app)
    safe = {"parallel_read_safe": True, "parallel_write_safe": True}
    return {**safe, "env_version": VERSION}
