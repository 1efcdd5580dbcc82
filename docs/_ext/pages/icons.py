"""The few icons that the pages show, as one small style sheet.

Works around the theme, which draws them with the whole of Font Awesome, a script
of more than half a megabyte. Here the shapes that we need are taken out of that
script. The template ``static/webpack-macros.html`` leaves the script itself out.
"""

import re
from pathlib import Path

from ..files import write

ICONS = """
angle-left angle-right arrow-up bars bell circle-exclamation circle-half-stroke
circle-info code download expand file file-pdf github lightbulb list
magnifying-glass moon pencil sun triangle-exclamation xmark
"""
BESIDES = {  # what has an icon without naming it
    ":where(div.admonition)": "bell",
    "div.caution": "triangle-exclamation",
    "div.exercise": "pencil",
    "div.hint": "lightbulb",
    "div.important": "circle-exclamation",
    "div.note": "circle-info",
    "div.tip": "lightbulb",
    "div.warning": "triangle-exclamation",
    "a.download": "download",
    "a.github": "github",
}
RULES = """\
:is(.fa-solid, .fas, .fab) {
  font-family: inherit; /* else the icons' fonts are loaded to measure a line */
}
:is(.fa-solid, .fas, .fab)::before,
a.reference:is(.download, .github)::before,
div.admonition:not(.solution) > p.admonition-title::after {
  content: "";
  display: inline-block;
  width: 1em;
  height: 1em;
  vertical-align: -0.125em;
  font: inherit;
  background: currentcolor;
  mask: var(--icon) center / contain no-repeat;
}
div.admonition:not(.solution) > p.admonition-title::after {
  inset-block: 0;
  margin-block: auto;
}
div.solution > p.admonition-title::after {
  font: inherit; /* it shows nothing, but WebKit loads its font */
}
@media (forced-colors: active) {
  :is(.fa-solid, .fas, .fab)::before {
    background: ButtonText;
  }
}
"""


def shape(name, script):
    """Return the style rule of one icon, found in Font Awesome's script."""
    found = re.search(
        rf'[,{{]"?{name}"?:\[(\d+),(\d+),\[[^]]*\],"\w+","([^"]+)"\]', script
    )
    width, height, path = found.groups()
    drawn = f"%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'"
    drawn += f"%3E%3Cpath d='{path}'/%3E%3C/svg%3E"
    named = ", ".join([f".fa-{name}", *(k for k, v in BESIDES.items() if v == name)])
    return f'{named} {{ --icon: url("data:image/svg+xml,{drawn}"); }}\n'


def write_icons(app):
    """Write the style sheet, and have the pages load it."""
    if app.builder.format == "html" and app.builder.name != "epub":
        theme = Path(app.registry.html_themes["pydata_sphinx_theme"])
        script = (theme / "static/scripts/fontawesome.js").read_text()
        rules = RULES + "".join(shape(name, script) for name in ICONS.split())
        write(Path(app.outdir, "_static", "icons.css"), rules)
        app.add_css_file("icons.css")


def setup(app):
    """Connect."""
    app.connect("builder-inited", write_icons)
