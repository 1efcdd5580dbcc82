"""A bibliography that screen readers can read.

Works around docutils, which calls each entry a ``doc-biblioentry``: a role that is
deprecated and that no list may hold.
"""


def repair_roles(app, pagename, templatename, context, doctree):
    """Make the entries of a bibliography the items of its list."""
    if "body" in context:
        old, new = 'role="doc-biblioentry"', 'role="listitem"'
        context["body"] = context["body"].replace(old, new)


def setup(app):
    """Connect."""
    app.connect("html-page-context", repair_roles)
