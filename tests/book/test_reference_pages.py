"""The pages that readers search: messages, idioms, terms."""

import ast
import os
import re
import shutil
import sys
from subprocess import run

import pytest
from conftest import ROOT, WRITTEN


def words(text):
    """Return a text in one line, with its lines' ends as single spaces."""
    return " ".join(text.split())


# Troubleshooting: each heading is what the present versions print


def print_python(code, **environment):
    """Run code in an interpreter of its own and return all that it prints."""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    done = run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


def ask_for_no_python(folder):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    made = run(
        ["make", "book", "PYTHONS=no-such-python"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert made.returncode
    return made.stderr


def have_a_card(folder):
    """Import JAX where it believes that it sees an NVIDIA card."""
    return print_python(
        "from jax._src import hardware_utils\n"
        "hardware_utils.has_visible_nvidia_gpu = lambda: True\n"
        "import jax; jax.devices()",
        JAX_PLATFORMS="",
    )


def import_as_jupyter_does(folder):
    """Import NumPyro where tqdm believes that it runs in a notebook."""
    return print_python(
        "import sys, types\n"
        "import IPython\n"
        "sys.modules['ipykernel.zmqshell'] = types.ModuleType('zmqshell')\n"
        "sys.modules['ipywidgets'] = None\n"
        "import numpyro",
        PYTHONWARNINGS="default",
    )


def hand_over_without_numpyro(folder):
    """Give draws to ArviZ where NumPyro itself was not imported by name."""
    return print_python(
        "import arviz, jax\n"
        "from numpyro.infer import MCMC, NUTS\n"
        "from numpyro.distributions import Normal\n"
        "from numpyro.primitives import sample\n"
        "kernel = NUTS(lambda: sample('a', Normal(0, 1)))\n"
        "mcmc = MCMC(kernel, num_warmup=5, num_samples=5, progress_bar=False)\n"
        "mcmc.run(jax.random.key(0))\n"
        "arviz.from_numpyro(mcmc)"
    )


def pip(folder, *args):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    return run(command, cwd=folder, capture_output=True, text=True).stderr


def make_wheel(folder, requires):
    """Write the smallest wheel named like the package."""
    import zipfile

    wheel = folder / "jaxbayes-9-py3-none-any.whl"
    info = "jaxbayes-9.dist-info"
    meta = f"Metadata-Version: 2.1\nName: jaxbayes\nVersion: 9\n{requires}"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", meta)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def install_for_a_newer_python(folder):
    wheel = make_wheel(folder, "Requires-Python: >=3.99\n")
    return pip(folder, "install", "--no-index", "--no-deps", "--dry-run", wheel)


def install_another_file(folder):
    wheel = make_wheel(folder, "")
    pinned = folder / "pinned.txt"
    pinned.write_text(f"jaxbayes @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    options = "--no-index", "--no-deps", "--dry-run", "--require-hashes"
    return pip(folder, "install", *options, "-r", pinned)


BY_A_TEST = {
    "An NVIDIA GPU may be present": have_a_card,
    "TqdmWarning: IProgress not found": import_as_jupyter_does,
    "AttributeError: module 'numpyro.infer'": hand_over_without_numpyro,
    "Install Python 3.12 or newer": ask_for_no_python,
    "ERROR: Package 'jaxbayes' requires a different": install_for_a_newer_python,
    "ERROR: THESE PACKAGES DO NOT MATCH": install_another_file,
}


@pytest.fixture(scope="module")
def entries(pages):
    """Return the heading, the shown source and the output of each entry."""
    found = []
    for section in pages["troubleshooting"].article.select("section section section"):
        message = section.h3.find("code", recursive=False)
        begins = message and words(section.h3.text).startswith(words(message.text))
        source = "\n".join(cell.text for cell in section.select(".cell_input"))
        output = words(" ".join(cell.text for cell in section.select(".output")))
        text = words((message if begins else section.h3).text).rstrip("#")
        found.append((text, begins, source, output))
    return found


def test_there_are_entries_and_none_is_twice(entries):
    headings = [entry[0] for entry in entries]
    assert len(headings) >= 24
    assert len(set(headings)) == len(headings)


def test_each_message_is_what_is_printed(entries):
    stale = []
    for message, is_message, _, output in entries:
        if is_message and not message.startswith(tuple(BY_A_TEST)):
            stale += [] if message in output else [f"{message}: printed {output}"]
    assert not stale, "\n".join(stale)


def test_each_silent_symptom_is_asserted(entries):
    silent = [entry for entry in entries if not entry[1]]
    assert silent
    assert not [text for text, _, source, _ in silent if "assert " not in source]


@pytest.mark.parametrize("start", BY_A_TEST)
def test_messages_from_outside_a_page_are_what_is_printed(start, entries, tmp_path):
    (message,) = [entry[0] for entry in entries if entry[0].startswith(start)]
    said = BY_A_TEST[start](tmp_path)
    assert message in words(said), said


def test_each_entry_says_a_cure(pages):
    sections = pages["troubleshooting"].article.select("section section section")
    missing = [s.h3.text for s in sections if "Cure:" not in s.text]
    assert not missing


# Cheat sheet: lines that stand side by side were run and compared


def assigned(source):
    """Return the names that a cell assigns at its top level or in a loop there."""
    tree = ast.parse(source)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    inside = {id(n) for function in functions for n in ast.walk(function)}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Store)
        and id(node) not in inside
    }


def test_rows_of_the_cheat_sheet_are_compared(pages):
    cells = pages["cheatsheet"].cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    pairs = [
        (code[i - 1].source, code[i + 1].source, code[i + 2].source)
        for i, cell in enumerate(code)
        if cell.source.startswith("left = dict(globals())")
    ]
    compared = 0
    for left, right, check in pairs:
        assert left.startswith("# ")
        assert right.startswith("# ")
        assert left.count("\n") == right.count("\n"), left
        names = assigned(left) & assigned(right)
        told = set(re.findall(r"\w+", " ".join(re.findall(r'"([\w ]+)"', check))))
        assert names - told <= {"tree", "joint"}, (names - told, left)  # no numbers
        compared += len(told)
    assert compared >= 25


# Glossary: each term is explained, and linked where a page uses it first

SOURCE = {page.name: page.source for page in WRITTEN}
GLOSSARY = SOURCE["glossary"]
ENTRY = r"(?m)((?:^[^\s`(#{].*\n)+)((?:  .*\n?)+)"
ENTRIES = {
    tuple(names.splitlines()): text
    for names, text in re.findall(ENTRY, GLOSSARY.split("```{glossary}")[1])
}
NOT_PROSE = (
    r"(?s)\A---\n.*?\n---\n",  # front matter
    r"(?ms)^(`{3,}|:{3,})[^\n]*\n.*?^\1[ ]*$",  # cells, figures, exercises
    r"(?ms)^\$\$.*?^\$\$",
    r"(?m)^(?:#+ |\([\w-]+\)=|\|).*$",  # headings, labels
    r"\{\w[\w:-]*\}`[^`]*`",  # roles
    r"`[^`\n]+`|\$[^$\n]+\$|\[[^\]]*\]\([^)]*\)",
)
LINK = r"\{term\}`([^`<]*?)(?: <([^>`]+)>)?`"
FREE = ("index", "glossary")  # pages without links to terms


def spoken(name):
    """Return a pattern for a term in a text, or None if it is no word by itself.

    What has a word in parentheses, as in "mode (of a density)", is ambiguous in
    a text, so a text may link it but need not.
    """
    if "(" in name:
        return None
    pattern = r"[\s-]+".join(map(re.escape, re.split(r"[ -]", name)))
    if name.isupper() or name == "R-hat":
        return rf"{pattern}\b"
    if name.islower() and name[-1] != "s":
        pattern = rf"{pattern[:-1]}(?:{pattern[-1]}s?|ies)"
    return rf"(?i:{pattern})\b"


FORMS = sorted(
    ((name, names[0]) for names in ENTRIES for name in names if spoken(name)),
    key=lambda pair: -len(pair[0]),
)
USE = "|".join(f"(?P<f{i}>{spoken(name)})" for i, (name, _) in enumerate(FORMS))
ENTRY_OF = {name.lower(): names[0] for names in ENTRIES for name in names}


def taught(page):
    """Return the entries that a page teaches: that name it, or set in emphasis."""
    text = SOURCE[page]
    for names, explained in ENTRIES.items():
        shown = "|".join(spoken(name) for name in names if spoken(name))
        strong = shown and re.search(rf"\*(?:{shown})\*", text)
        if f"{{ref}}`{page}`" in explained or strong:
            yield names[0]


def uses(source):
    """Yield the entry, the place and the text of each use, with its link or not."""
    for link in re.finditer(LINK, source):
        yield ENTRY_OF.get((link[2] or link[1]).lower()), link.start(), link[0], True
    for pattern in NOT_PROSE:
        source = re.sub(pattern, lambda found: "\0" * len(found[0]), source)
    for use in re.finditer(rf"(?<![\w-])(?:{USE})(?!-\w)", source):
        yield FORMS[int(use.lastgroup[1:])][1], use.start(), use[0], False


def first_uses(page):
    """Map each entry that a page uses, and does not teach, to its uses in order."""
    found = {}
    source = SOURCE[page]
    for entry, *use in sorted(uses(source), key=lambda use: use[1]):
        found.setdefault(entry, []).append(use)
    return {entry: found[entry] for entry in found.keys() - set(taught(page))}


def test_the_package_page_says_what_is_returned_and_explains_constants(pages):
    text = pages["api"].article.get_text()
    assert "Returns" in text
    assert "Return type" not in text  # what a colon under "Returns:" makes of it
    assert "Built-in" not in text  # what a constant without a comment shows


def test_the_glossary_explains_its_terms(pages):
    assert len(ENTRIES) >= 45
    assert len(ENTRY_OF) == sum(map(len, ENTRIES)), "a term stands twice"
    first = [names[0].lower() for names in ENTRIES]
    assert first == sorted(first)
    for names, text in ENTRIES.items():
        assert 2 <= len(re.findall(r"[.?!](?:\s|$)", text)) <= 5, names
        named = re.findall(r"\{ref\}`([\w-]+)`", text)
        assert named, names
        for page in named:
            written = pages[page].article.text.lower()
            written = written.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
            written = written.replace(r"\chi^2", "chi squared")
            stems = [word[:5] for word in re.findall(r"[\w'-]+", " ".join(names))]
            assert any(stem.lower() in written for stem in stems), (names, page)


def test_terms_are_linked_where_a_page_first_uses_them(written):
    wrong = []
    first = {} if written.name in FREE else first_uses(written.name)
    for entry, found in first.items():
        assert entry, "links a term that the glossary lacks"
        places = [linked for *_, linked in found]
        if not places[0] or places.count(True) > 1:
            wrong.append(f"{entry}: {[(text, link) for _, text, link in found[:3]]}")
    assert not wrong, "\n".join(wrong)


def test_the_search_for_uses_sees_what_a_reader_sees():
    text = "A *prior* `posterior` is $ESS$ of posteriors; {term}`HMC` and HMC.\n"
    found = [(entry, text, linked) for entry, _, text, linked in uses(text)]
    assert sorted(found) == [
        ("Hamiltonian Monte Carlo", "HMC", False),
        ("Hamiltonian Monte Carlo", "{term}`HMC`", True),
        ("posterior", "posteriors", False),
        ("prior", "prior", False),
    ]
