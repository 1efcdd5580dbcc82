"""Keep the pages within the policy of ``content-security-policy.txt``.

It allows each inline script by its digest, so no two pages may differ in one.
Works around the theme, which writes the page's name into one.
"""


def leave_out_names(app, pagename, templatename, context, doctree):
    """Leave out the theme's script that says the page's name; nothing here reads it."""
    scripts = context.get("script_files", [])
    own = "DOCUMENTATION_OPTIONS.pagename"
    context["script_files"] = [
        script
        for script in scripts
        if not (script.attributes.get("body") or "").startswith(own)
    ]


def setup(app):
    """Connect."""
    app.connect("html-page-context", leave_out_names, priority=900)
