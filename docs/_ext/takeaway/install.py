"""Publish what a reader installs: the package, and the pins of these pages.

The site carries a wheel of ``jaxbayes`` and a list of pinned requirements that
names it, so that one ``pip install -r`` gives a reader what the book ran on.
"""

from importlib.metadata import requires
from pathlib import Path
from subprocess import run
from sysconfig import get_path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..files import write

ROOT = Path(__file__).parents[3]


def closure(name):
    """Return the names of all that an installed package needs here, transitively."""
    needed, todo = set(), [(name, "")]
    while todo:
        package, extra = todo.pop()
        for need in map(Requirement, requires(package) or []):
            if not need.marker or need.marker.evaluate({"extra": extra}):
                found = {(canonicalize_name(need.name), e) for e in ("", *need.extras)}
                todo += found - needed
                needed |= found
    return {package for package, _ in needed}


def reader_requirements(wheel_url):
    """List the pins of the package's own dependencies, and the package."""
    needed = closure("jaxbayes")
    pins = [
        line.rstrip(" \\")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and line.split("==")[0] in needed
    ]
    return "\n".join([*pins, f"jaxbayes @ {wheel_url}", ""])


def pin(name):
    """Return the pinned version of a package."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.startswith(f"{name}=="))


def publish(app):
    """Write the lines that a reader pastes, and the files that they fetch."""
    static = f"{app.config.html_baseurl}_static/"
    wheel = f"{static}jaxbayes-{app.config.version}-py3-none-any.whl"
    lines = {
        "install": f"-r {static}requirements.txt",
        "install-newest": wheel,
        "install-gpu": f'"{pin("jax").replace("==", "[cuda13]==")}"',
    }
    for name, line in lines.items():
        file = Path(app.srcdir, "_build", "generated", f"{name}.txt")
        write(file, f"python -m pip install {line}\n")
    if app.builder.format == "html" and app.builder.name != "epub":
        target = Path(app.outdir, "_static")
        target.mkdir(parents=True, exist_ok=True)
        build = [Path(get_path("scripts"), "uv-build"), "build-wheel", target]
        run(build, cwd=ROOT, check=True, capture_output=True)
        write(target / "requirements.txt", reader_requirements(wheel))


def setup(app):
    """Connect."""
    app.connect("builder-inited", publish)
