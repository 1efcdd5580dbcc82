"""The files around the book agree with one another."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from matplotlib.testing.compare import compare_images
from packaging.requirements import Requirement

import jaxbayes

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = (ROOT / "requirements.txt").read_text()


def requirements():
    """List what pyproject.toml asks for, by us and by each group."""
    lines = list(PROJECT["project"]["dependencies"])
    for group in PROJECT["dependency-groups"].values():
        lines += [line for line in group if isinstance(line, str)]
    lines += PROJECT["build-system"]["requires"]
    return sorted(set(lines))


@pytest.mark.parametrize("line", requirements())
def test_pins_satisfy_what_is_asked_for(line):
    need = Requirement(line)
    name = re.escape(need.name).replace("_", "[-_]")
    versions = re.findall(rf"^{name}==(\S+)", PINS, re.M)
    assert versions, f"{need.name} is not pinned: run make lock"
    assert all(need.specifier.contains(version) for version in versions)


def test_pins_have_hashes_and_no_address():
    pins = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", PINS, flags=re.M).strip())
    assert len(pins) > 100
    for pin in pins:
        assert re.match(r"[a-z0-9-]+==\S+", pin)
        assert "--hash=sha256:" in pin
    assert "://" not in PINS
    assert "--index" not in PINS


def test_nothing_tracked_names_this_machine_or_a_registry():
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    if not files[0]:
        pytest.skip("not a git checkout")
    forbidden = re.compile(rb"/work/|/root/|pypi\.org|pythonhosted|/home/")
    for name in filter(None, files):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            found = forbidden.search(path.read_bytes())
            assert not found, f"{name} names {found[0]}"


def test_versions_agree():
    version = PROJECT["project"]["version"]
    assert jaxbayes.__version__ == version
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert citation["url"] == PROJECT["project"]["urls"]["Documentation"]
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_python_versions_agree():
    python = (ROOT / ".python-version").read_text().strip()
    assert PROJECT["project"]["requires-python"] == f">={python}"
    config = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())
    assert config["build"] == {"os": "ubuntu-24.04", "tools": {"python": python}}


def test_the_readme_is_short_and_its_commands_exist():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 60
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for target in set(re.findall(r"make (\w+)", readme)) - {"one"}:
        assert target in targets
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", readme):
        assert (ROOT / link).exists()


def test_the_readme_shows_a_figure_of_the_book():
    """Within some gray levels: fonts differ, and draws on other processors."""
    page = (ROOT / "docs/_build/html/index.html").read_text()
    image = ROOT / "docs/_build/html" / re.search(r"_images/\w+\.png", page)[0]
    shown = ROOT / "docs/_static/posterior.png"
    assert compare_images(str(image), str(shown), tol=20) is None


def test_a_machine_without_python_is_told_what_to_install(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("make", "sh", "bash", "echo"):
        (tools / tool).symlink_to(
            subprocess.run(
                ["which", tool], capture_output=True, text=True, check=True
            ).stdout.strip()
        )
    done = subprocess.run(
        ["make", "book"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[0].startswith("Install Python 3.12 or newer")
