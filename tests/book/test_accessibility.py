"""What axe-core finds on the pages, and what a keyboard alone can do."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RUN = """async () => (await axe.run()).violations.flatMap(
  rule => rule.nodes.map(n => `${rule.id} (${n.impact}): ${n.target} ${n.html}`))"""

STOPS = """() => [...document.querySelectorAll("pre")].every(
  pre => pre.scrollWidth <= pre.clientWidth || pre.tabIndex == 0)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(visit, width, scheme):
    visit.resize(width)
    visit.tab.emulate_media(color_scheme=scheme)
    expect(visit.tab.locator("html")).to_have_attribute("data-theme", scheme)
    visit.tab.wait_for_function(STOPS)  # the theme waits a little after a resize
    if not visit.tab.evaluate("'axe' in window"):
        visit.tab.evaluate(AXE)
    found = visit.tab.evaluate(RUN)
    assert not found, "\n".join(found)
