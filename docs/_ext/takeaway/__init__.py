"""What a reader takes away from the book.

- ``downloads`` writes a chapter's notebook and script, and the menu that leads to
  them and to Colab; it needs the extension ``execution``;
- ``formats`` makes both files of a chapter's texts and cells;
- ``markdown`` writes a finished page as the plain Markdown of those texts;
- ``install`` publishes the package, the pins, and the lines that install them.
"""

from ..files import version
from . import downloads, install

VERSION = version(__path__[0])


def setup(app):
    """Connect each module."""
    for module in (downloads, install):
        module.setup(app)
    safe = {"parallel_read_safe": True, "parallel_write_safe": True}
    return {**safe, "env_version": VERSION}
