"""Say how a build ended, and leave no failure behind that passes."""

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


def setup(app):
    """Start the clock."""
    app.started = time.time()
    app.connect("build-finished", forget_failures)
    app.connect("build-finished", say_done)
