"""Say how a build ended; leave no failure behind that passes, and no old page."""

import os
import time
from pathlib import Path


def forget_failures(app, exception):
    """After warnings or an error, have the next build read every page again.

    Sphinx would otherwise remember the pages it read and not warn a second time.
    """
    if exception or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def say_done(app, exception):
    """Print how long the build took, and what to open."""
    if not exception and app.builder.name == "html":
        page = os.path.relpath(Path(app.outdir, "index.html"))
        print(f"Built in {time.time() - app.started:.1f} s. Open {page}", flush=True)


def remove_left_over(app, exception):
    """Delete the pages whose sources are gone."""
    if not exception and app.builder.name == "html":
        names = {*app.env.found_docs, "404", "genindex", "search"}
        kept = {Path(app.outdir, f"{name}.html") for name in names}
        static = Path(app.outdir, "_static")
        for page in set(Path(app.outdir).rglob("*.html")) - kept:
            if static not in page.parents:
                page.unlink()


def setup(app):
    """Start the clock."""
    app.started = time.time()
    app.connect("build-finished", forget_failures)
    app.connect("build-finished", remove_left_over)
    app.connect("build-finished", say_done)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
