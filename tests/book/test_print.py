"""The pages on paper."""

import pytest
from playwright.sync_api import expect

ON_SCREEN_ONLY = """.bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary,
.bd-footer-content, .prev-next-footer, .copybtn, .toggle-button, .headerlink,
#pst-back-to-top, details.hide > summary"""
CUT_OFF = """all => all.filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth
  || e.getBoundingClientRect().right > innerWidth).map(e => e.textContent)"""
PALE = """all => {
  const paint = document.createElement("canvas").getContext(
    "2d", {willReadFrequently: true});
  return all.filter(e => {
    paint.fillStyle = getComputedStyle(e).color;
    paint.clearRect(0, 0, 1, 1);
    paint.fillRect(0, 0, 1, 1);
    return Math.min(...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)) > 160;
  }).map(e => e.outerHTML.slice(0, 99));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_prints_whole_and_dark_on_light(written, opened, scheme):
    tab = opened.tab
    opened.resize(720)  # about a sheet of paper
    opened.wear(scheme)
    tab.emulate_media(media="print")
    seen = tab.locator(ON_SCREEN_ONLY).filter(visible=True)
    assert not seen.count(), [e.evaluate("e => e.outerHTML") for e in seen.all()]
    solutions = tab.locator(".solution-content")
    assert solutions.count() == written.source.count("{solution-start}")
    for solution in solutions.all():
        expect(solution).to_be_visible()
        assert solution.evaluate("e => e.clientHeight") > 20
    assert not tab.locator("article pre").evaluate_all(CUT_OFF)
    assert not tab.locator("article :is(p, li, span, dt, td, a)").evaluate_all(PALE)
