"""Load the script of the draggable figure on the page that has its data.

A cell that is not shown glues an empty element whose ``data-drag`` attribute
holds what the figure draws. Without the script the static figure stands.
"""


def add_script(app, pagename, templatename, context, doctree):
    """Add the script and its style sheet, for a page in a browser only."""
    if app.builder.name == "html" and "data-drag=" in context.get("body", ""):
        app.add_js_file("drag.js", loading_method="defer")
        app.add_css_file("drag.css")


def setup(app):
    """Connect."""
    app.connect("html-page-context", add_script)
