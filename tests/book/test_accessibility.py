"""What axe-core finds on the pages, and what a keyboard alone can do."""

from contextlib import closing
from importlib.resources import files

import pytest
from conftest import LUMINANCE, Visit
from playwright.sync_api import expect

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RUN = """async () => (await axe.run()).violations.flatMap(
  rule => rule.nodes.map(n => `${rule.id} (${n.impact}): ${n.target} ${n.html}`))"""

STOPS = """() => [...document.querySelectorAll("pre")].every(
  pre => pre.scrollWidth <= pre.clientWidth || pre.tabIndex == 0)"""

KEYBOARD = r"""
window.name_of = e =>
  `${[...document.querySelectorAll("*")].indexOf(e)} ${e.tagName} ${e.innerText}`;
window.focusable = () =>
  [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")]
    .filter(e => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0)
    .map(name_of);
window.luminance = LUMINANCE;
window.ring = (...box) => {
  const style = getComputedStyle(...box);
  if (style.outlineStyle != "none" && parseFloat(style.outlineWidth) >= 2)
    return style.outlineColor;
  return style.boxShadow.match(/(rgba?\([^)]*\)) 0px 0px 0px [2-9]/)?.[1];
};
window.focused = () => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const colour = ring(e) ?? ring(e.closest(".bd-search") ?? e)
    ?? ring(e.closest(".admonition-title") ?? e, "::before");
  let behind = e.parentElement;
  while (getComputedStyle(behind).backgroundColor == "rgba(0, 0, 0, 0)")
    behind = behind.parentElement;
  const ground = luminance([getComputedStyle(behind).backgroundColor]);
  const shades = [ground, colour ? luminance([colour]) : ground].sort((a, b) => a - b);
  return {name: name_of(e), contrast: (shades[1] + 0.05) / (shades[0] + 0.05)};
};
""".replace("LUMINANCE", LUMINANCE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(visit, width, scheme):
    visit.resize(width)
    visit.wear(scheme)
    visit.tab.wait_for_function(STOPS)  # the theme waits a little after a resize
    if not visit.tab.evaluate("'axe' in window"):
        visit.tab.evaluate(AXE)
    found = visit.tab.evaluate(RUN)
    assert not found, "\n".join(found)


def test_keyboard_goes_everywhere_and_shows_where(fresh, site):
    """Press Tab through a page; what has the focus stands in a ring that is seen."""
    with closing(Visit(fresh, f"{site}tutorial/jax-fit.html")) as visit:
        for scheme in ("light", "dark"):
            visit.tab.emulate_media(color_scheme=scheme)
            visit.tab.reload()
            expect(visit.tab.locator("html")).to_have_attribute("data-theme", scheme)
            visit.tab.evaluate(KEYBOARD)
            expected = visit.tab.evaluate("focusable()")
            visit.tab.keyboard.press("Tab")
            expect(visit.tab.get_by_text("Skip to main content")).to_be_in_viewport()
            reached = {}
            while focused := visit.tab.evaluate("focused()"):
                if focused["name"] in reached:
                    break
                reached[focused["name"]] = focused["contrast"]
                visit.tab.keyboard.press("Tab")
            faint = [name for name, contrast in reached.items() if contrast < 3]
            assert not faint, "\n".join(faint)
            assert set(expected) <= reached.keys(), set(expected) - reached.keys()


def test_skip_link_leads_past_the_sidebar(fresh, site):
    with closing(Visit(fresh, f"{site}tutorial/jax-fit.html")) as visit:
        visit.tab.keyboard.press("Tab")
        visit.tab.keyboard.press("Enter")
        visit.tab.keyboard.press("Tab")
        assert visit.tab.evaluate("document.activeElement.closest('main') != null")
