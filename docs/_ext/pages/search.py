"""A search that finds the same after every build, pages before single words.

Works around two faults of Sphinx: a build that loads the search of an earlier one
forgets the entries of the index in it (``IndexBuilder.load``), and all terms of a
glossary count as main entries, which are listed before any page.
"""

from types import SimpleNamespace

import sphinx.search
from sphinx import addnodes


class IndexBuilder(sphinx.search.IndexBuilder):
    """Sphinx's builder of the search, with all of the earlier search."""

    def load(self, stream, format):
        """Load what an earlier build has frozen."""
        frozen = self.formats.get(format, format).load(stream)
        super().load(stream, SimpleNamespace(load=lambda stream: frozen))
        self._index_entries = {name: [] for name in frozen["docnames"]}
        for entry, places in frozen["indexentries"].items():
            for number, place, is_main in places:
                told = (entry, place, "main" if is_main else "")
                self._index_entries[frozen["docnames"][number]].append(told)

    def prune(self, docnames):
        """Remove the data of all pages but these."""
        super().prune(docnames)
        kept = sorted(self._index_entries.keys() & set(docnames))
        self._index_entries = {name: self._index_entries[name] for name in kept}


def step_back(app, doctree):
    """Make glossary terms minor entries of the index, which are listed last."""
    for glossary in doctree.findall(addnodes.glossary):
        for index in glossary.findall(addnodes.index):
            index["entries"] = [(*e[:3], "", *e[4:]) for e in index["entries"]]


def setup(app):
    """Connect; Sphinx imports its builder of the search when it writes."""
    sphinx.search.IndexBuilder = IndexBuilder
    app.connect("doctree-read", step_back)
