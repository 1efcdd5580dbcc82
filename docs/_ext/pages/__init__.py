"""Repairs and additions to what the pages show.

Repairs, each of which can go when what it works around is mended:

- ``accessibility``: docutils gives the entries of a bibliography a dead role;
- ``epub``: Sphinx and sphinx-design write what EPUBCheck refuses;
- ``exercises``: sphinx-exercise writes invalid HTML, and knows one builder;
- ``icons``: the theme loads half a megabyte to draw two dozen icons;
- ``left_over``: Sphinx keeps the pages of sources that are gone;
- ``maths``: Sphinx loads MathJax from another site, and checks no formula;
- ``policy``: the theme puts another script into every page;
- ``search``: Sphinx forgets and misplaces entries of the index in the search;
- ``singlepage``: Sphinx leaves dead links where all chapters stand on one page.

Additions:

- ``drag`` loads the script of the figure that moves;
- ``metadata`` tells search engines and social media what a page is about.
"""

from ..files import version
from . import (
    accessibility,
    drag,
    epub,
    exercises,
    icons,
    left_over,
    maths,
    metadata,
    policy,
    search,
    singlepage,
)

MODULES = (accessibility, drag, epub, exercises, icons, left_over, maths)
MODULES += (metadata, policy, search, singlepage)
VERSION = version(__path__[0])


def setup(app):
    """Connect each module."""
    for module in MODULES:
        module.setup(app)
    safe = {"parallel_read_safe": True, "parallel_write_safe": True}
    return {**safe, "env_version": VERSION}
