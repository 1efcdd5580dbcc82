"""Plant errors into the pages of the book, one at a time, and count which are caught.

Each error is a small change to the code of a page, of a kind that a writer makes: a
factor in a formula that readers copy, an exchanged header, label or legend, a number
that is another quantity, a curve or a band that is off, an exchanged verdict, a bound
of a prior. For each, a copy of the book gets it, and the cheapest checks run that
may see it: the cells of the page, up to the first that fails, and if none does, the
tests that only read the pages (definitions, glued numbers). A page must pass without
an error.

Run ``python benchmarks/plant.py [page ...]``: a third of a minute an error. It prints a
line for each and keeps its row in ``plant.csv``. With pages named it runs all errors of
these, with none those that have no row yet. ``planted.toml`` lists the errors; where
one is missed, its ``why`` says the reason.
"""

import csv
import linecache
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import import_module
from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("plant.csv")
PLANTED = tomllib.loads(Path(__file__).with_name("planted.toml").read_text())
ERRORS = {
    (page, error["old"], error["new"]): {"page": page, **error}
    for page, errors in PLANTED.items()
    for error in errors
}
KERNEL = run_path(str(ROOT / "docs/conf.py"))["execution_environment"]
READING = ["tests/book/test_definitions.py", "tests/book/test_glue.py"]
COLUMNS = ["page", "kind", "old", "new", "caught", "by", "seconds", "why"]


def warm_up():
    """Import, once for all pages, what takes seconds and starts no threads."""
    os.environ.update(KERNEL)
    for name in ("numpyro", "arviz", "corner", "matplotlib.pyplot", "myst_nb"):
        import_module(name)


def execute(file):
    """Execute the cells of a page; return what failed, or nothing."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import myst_nb
    from myst_nb.core.read import read_myst_markdown_notebook

    plt.style.use(str(ROOT / "docs/matplotlibrc"))
    myst_nb.glue = lambda name, value, display=True: None
    os.chdir(file.parent)
    names = {"__name__": "__main__"}
    for i, cell in enumerate(read_myst_markdown_notebook(file.read_text()).cells):
        if cell.cell_type == "code":
            lines = cell.source.splitlines(keepends=True)
            linecache.cache[f"cell {i}"] = len(lines), None, lines, f"cell {i}"
            try:
                exec(compile(cell.source, f"cell {i}", "exec"), names)  # noqa: S102
            except Exception as error:
                if "raises-exception" not in cell.metadata.get("tags", []):
                    last = " ".join(str(error).split())[:80]
                    return f"cell {i}: {type(error).__name__} {last}"
            plt.close("all")
    return ""


def execute_copy(copy, page, answer):
    """Execute a page of a copy of the book, in a process of its own."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.path.insert(0, str(copy / "src"))
    answer.send(execute(copy / source(page)))


def run_cells(copy, page):
    """Return what the cells of a page see in a copy of the book, or nothing."""
    fork = multiprocessing.get_context("fork")
    answer, there = fork.Pipe(duplex=False)
    process = fork.Process(target=execute_copy, args=(copy, page, there))
    process.start()
    there.close()
    try:
        by = answer.recv()
    except EOFError:
        by = "the process died"
    process.join()
    return by


def run_tests(copy):
    """Return what the tests see that only read the pages, or nothing."""
    env = {**os.environ, "PYTHONPATH": str(copy / "src")}
    reading = [sys.executable, "-m", "pytest", "-qx", "-pno:cacheprovider", *READING]
    run = {"cwd": copy, "env": env, "capture_output": True, "text": True}
    told = subprocess.run(reading, **run, check=False)  # noqa: S603
    failed = [line for line in told.stdout.splitlines() if line.startswith("FAILED")]
    by = failed[0].partition("::")[2][:80] if failed else told.stdout[-200:]
    return by if told.returncode else ""


def planted(page, old, new):
    """Return what sees a change of a page, or nothing; without one, run its cells."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "book")
        skip = shutil.ignore_patterns("_build", ".git", ".venv", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=skip)
        file = copy / source(page)
        file.write_text(file.read_text().replace(old, new))
        by = run_cells(copy, page)
        return by or (run_tests(copy) if new != old else "")


def source(page):
    """Return the place of a page below the root."""
    (file,) = (ROOT / "docs").glob("index.md" if page == "index" else f"*/{page}.md")
    return file.relative_to(ROOT)


def stale(error):
    """Say why an error cannot be planted, or nothing."""
    page = error["page"]
    count = (ROOT / source(page)).read_text().count(error["old"])
    return "" if count == 1 else f"{page}: {error['old']!r} is there {count} times"


def rows():
    """Return the recorded rows of the errors that are planted still, in their order."""
    told = list(csv.DictReader(FILE.open())) if FILE.exists() else []
    told = {(row["page"], row["old"], row["new"]): row for row in told}
    return {key: told[key] for key in ERRORS if key in told}


def write(done):
    """Write the record, in the order of the list of errors."""
    with FILE.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for key, error in ERRORS.items():
            if key in done:
                why = error.get("why", "") if done[key]["caught"] == "no" else ""
                writer.writerow({**done[key], **error, "why": why})


def main(pages):
    """Plant what is asked for, print and record what came of it."""
    wrong = [told for error in ERRORS.values() if (told := stale(error))]
    if wrong:
        sys.exit("\n".join(wrong))
    write(done := rows())
    again = [key for key in ERRORS if (key[0] in pages if pages else key not in done)]
    if again and (by := run_tests(ROOT)):
        sys.exit(f"the book fails as it is: {by}")
    fails = {}
    for page, old, new in again:
        if page not in fails:
            fails[page] = planted(page, old, old)
            print(page, "fails as it is:" if fails[page] else "passes", fails[page])
        if fails[page]:
            continue
        begin = time.perf_counter()
        by = planted(page, old, new)
        row = {"caught": "yes" if by else "no", "by": by}
        row["seconds"] = f"{time.perf_counter() - begin:.0f}"
        print(page, old, "->", new, row, flush=True)
        write({**rows(), (page, old, new): row})
    done = rows().values()
    caught = sum(row["caught"] == "yes" for row in done)
    print(f"{caught} of {len(done)} caught, {len(ERRORS)} listed")
    sys.exit(any(fails.values()))


if __name__ == "__main__":
    warm_up()
    main(sys.argv[1:])
