"""The order of the search: pages before the index entries of the glossary.

Works around Sphinx, to which all terms of a glossary are main entries, which are
listed before any page.
"""

from sphinx import addnodes


def step_back(app, doctree):
    """Make glossary terms minor entries of the index, which are listed last."""
    for glossary in doctree.findall(addnodes.glossary):
        for index in glossary.findall(addnodes.index):
            index["entries"] = [(*e[:3], "", *e[4:]) for e in index["entries"]]


def setup(app):
    """Connect."""
    app.connect("doctree-read", step_back)
