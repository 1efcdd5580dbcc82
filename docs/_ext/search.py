"""The order of the search: pages before the index entries of the glossary."""

from sphinx import addnodes


def step_back(app, doctree):
    """Make glossary terms minor entries of the index, which are listed last."""
    for glossary in doctree.findall(addnodes.glossary):
        for index in glossary.findall(addnodes.index):
            index["entries"] = [(*e[:3], "", *e[4:]) for e in index["entries"]]


def setup(app):
    """Connect."""
    app.connect("doctree-read", step_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
