"""Measure how long the book takes to build, and how much memory.

Run with ``make bench``. Works on a copy of the project, so that it neither
profits from what was built before nor disturbs it. Memory is the largest sum
over all processes of the build, sampled ten times a second; pages that
processes share are counted for each of them, so it errs on the high side.
"""

import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from jaxbayes.timing import machine

ROOT = Path(__file__).parents[1]


def resident(process):
    """Sum the resident memory of a process and its descendants, in bytes."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total


def build(project):
    """Build once; return seconds, peak bytes, and the names of executed chapters."""
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html"]
    command = [*sphinx, "-d", "docs/_build/doctrees", "docs", "docs/_build/html"]
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as log:
        running = psutil.Popen(command, cwd=project, stdout=log, stderr=log)
        while running.poll() is None:
            peak = max(peak, resident(running))
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        log.seek(0)
        text = log.read()
    if running.returncode:
        sys.exit(text)
    return seconds, peak, re.findall(r"^  (\S+) +executed", text, re.M)


def append(file, text):
    """Add a line to a file."""
    file.write_text(file.read_text() + text)


def main():
    """Print a row for each kind of build."""
    print(machine())
    print(f"{'build':24} {'seconds':>8} {'peak GB':>8}  executed")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        names = ".git", ".venv", "_build", ".*_cache", "__pycache__"
        shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*names))
        docs, cache = project / "docs", project / "docs/_build"
        module = project / "src/jaxbayes/timing.py"
        steps = {
            "cold": [],
            "nothing changed": [],
            "prose of one chapter": [
                (append, docs / "tutorial/timing.md", "\nA sentence.\n")
            ],
            "jaxbayes/timing.py": [(append, module, "\n# A comment.\n")],
            "cold, compiled before": [
                (shutil.rmtree, cache / "executed"),
                (shutil.rmtree, cache / "doctrees"),
            ],
        }
        for name, changes in steps.items():
            for change, *args in changes:
                change(*args)
            seconds, peak, executed = build(project)
            chapters = f"{len(executed)} chapters"
            if 0 < len(executed) < 5:
                chapters = ", ".join(executed)
            print(f"{name:24} {seconds:8.1f} {peak / 1e9:8.2f}  {chapters}", flush=True)


if __name__ == "__main__":
    main()
