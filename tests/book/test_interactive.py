"""The figure whose Gaussians can be dragged, opened from the folder of the book."""

import json
import re
from contextlib import closing

import numpy as np
import pytest
from conftest import CONTRAST, HTML, Visit, new_context
from playwright.sync_api import expect
from scipy.optimize import minimize

from jaxbayes.data import TRUTH, simulate
from jaxbayes.fitting import chi2_numpy, fit
from jaxbayes.models import HIGH, LOW

FIGURE = "#fig-labels-drag"
FOLLOW = "the other parameters follow"
PEAKS, SIDES = (0, 2), (1, 3)  # handles of the first and the second Gaussian
PROFILE = simulate(np.random.RandomState(0))
BEST = fit(PROFILE, TRUTH)


class Drawing:
    """The figure in a page, and what it shows."""

    def __init__(self, visit):
        self.visit, self.tab = visit, visit.tab
        self.root = self.tab.locator(f"{FIGURE} .drag")
        self.handles = self.root.locator(".handle")
        self.sliders = self.root.get_by_role("slider")

    @property
    def params(self):
        return np.array(json.loads(self.root.get_attribute("data-params")))

    @property
    def chi2(self):
        return float(self.root.get_attribute("data-chi2"))

    def press(self, name):
        self.root.get_by_role("button", name=name).click()

    def drag(self, handle, right, down):
        box = self.handles.nth(handle).locator(":scope > :last-child").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.tab.mouse.move(x, y)
        self.tab.mouse.down()
        self.tab.mouse.move(x + right / 2, y + down / 2)
        self.tab.mouse.move(x + right, y + down)
        self.tab.mouse.up()

    def check(self):
        """Compare what is shown with all of the data."""
        params, full = self.params, chi2_numpy(self.params, *PROFILE)
        assert np.all((params >= LOW) & (params <= HIGH))
        assert abs(self.chi2 - full) < 0.01
        assert f"χ² {self.chi2:,.0f}, " in self.root.locator(".readout").inner_text()
        for slider, value in zip(self.sliders.all(), params, strict=True):
            assert abs(float(slider.input_value()) - value) <= 0.005 + 1e-9
            shown = slider.locator("xpath=following-sibling::span").inner_text()
            assert shown == f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def open_figure(context):
    visit = Visit(context, (HTML / "tutorial/labels.html").as_uri())
    visit.tab.locator(FIGURE).scroll_into_view_if_needed()
    return visit


@pytest.fixture(scope="module")
def opened(context):
    with closing(open_figure(context)) as visit:
        yield Drawing(visit)
        assert not visit.trouble, "\n".join(visit.trouble)


@pytest.fixture
def drawing(opened):
    opened.visit.wear("light")
    opened.visit.resize(1280)
    opened.root.get_by_label(FOLLOW).uncheck()
    opened.press("Best fit")
    opened.root.locator("svg.profile").scroll_into_view_if_needed()
    return opened


def test_figure_begins_at_the_best_fit(drawing):
    drawing.tab.reload()
    expect(drawing.root).to_be_visible()
    expect(drawing.tab.locator(f"{FIGURE} img")).to_be_hidden()
    np.testing.assert_allclose(drawing.params, BEST.params)
    assert abs(drawing.chi2 - BEST.chi2) < 1e-6
    expect(drawing.root.locator(".readout")).to_contain_text(" 0.0 above the best fit")
    drawing.check()


@pytest.mark.parametrize("k", [0, 1])
def test_peak_is_dragged(drawing, k):
    before = drawing.params
    drawing.drag(PEAKS[k], 100, -30)
    moved = drawing.params - before
    amplitude, mean = moved[3 * k : 3 * k + 2]
    assert 1 < mean < 3
    assert 0.2 < amplitude < 1
    assert np.count_nonzero(moved) == 2
    drawing.check()


@pytest.mark.parametrize("k", [0, 1])
def test_width_is_dragged(drawing, k):
    before = drawing.params
    drawing.drag(SIDES[k], (-20, 20)[k], 50)
    moved = drawing.params - before
    assert 0.2 < moved[3 * k + 2] < 0.6
    assert np.count_nonzero(moved) == 1
    drawing.check()


def test_handle_follows_the_mouse(drawing):
    shape = drawing.handles.nth(PEAKS[0]).locator(":scope > :last-child")
    before = shape.bounding_box()
    drawing.drag(PEAKS[0], -60, 25)
    after = shape.bounding_box()
    assert abs(after["x"] - before["x"] + 60) < 0.5
    assert abs(after["y"] - before["y"] - 25) < 0.5


def test_handle_follows_a_finger_and_the_page_stays(drawing):
    drawing.visit.resize(390)
    drawing.root.locator("svg.profile").scroll_into_view_if_needed()
    before, scrolled = drawing.params, drawing.tab.evaluate("scrollY")
    box = drawing.handles.nth(PEAKS[1]).locator(":scope > :last-child").bounding_box()
    x, y = box["x"] + 8, box["y"] + 8
    finger = drawing.tab.context.new_cdp_session(drawing.tab)
    for kind, right, down in (
        *(("touchStart", 0, 0), ("touchMove", 20, 10)),
        *(("touchMove", 40, 60), ("touchEnd", 0, 0)),
    ):
        points = [] if kind == "touchEnd" else [{"x": x + right, "y": y + down}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    moved = drawing.params - before
    assert 1 < moved[4] < 2
    assert moved[3] < -0.3
    assert drawing.tab.evaluate("scrollY") == scrolled
    drawing.check()


@pytest.mark.parametrize("i", range(6))
def test_each_parameter_moves_by_keyboard(drawing, i):
    slider, before = drawing.sliders.nth(i), drawing.params
    slider.focus()
    handle = drawing.handles.nth(2 * (i // 3) + (i % 3 == 2))
    expect(handle).to_have_class(re.compile(r"\bfocused\b"))
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        drawing.tab.keyboard.press(key)
    moved = drawing.params - before
    assert 0.01 < moved[i] < 0.03
    assert np.count_nonzero(moved) == 1
    drawing.check()
    for key, bound in (("Home", LOW), ("End", HIGH)):
        drawing.tab.keyboard.press(key)
        assert drawing.params[i] == bound[i]
        drawing.check()


def test_keyboard_reaches_every_control(drawing):
    reached = []
    drawing.root.get_by_role("button").first.focus()
    for _ in range(10):
        reached.append(
            drawing.tab.evaluate(
                """() => {
                  const e = document.activeElement;
                  return [e.innerText || e.ariaLabel
                    || e.labels[0].innerText, getComputedStyle(e).outlineWidth];
                }"""
            )
        )
        drawing.tab.keyboard.press("Tab")
    names = ("amplitude", "mean", "width")
    assert [name for name, _ in reached[:3]] == [
        *("Exchange labels", "Best fit", "Third mode")
    ]
    assert reached[3][0] == FOLLOW
    assert [name for name, _ in reached[4:]] == [
        f"{name} of the {k} Gaussian" for k in ("first", "second") for name in names
    ]
    assert {outline for _, outline in reached[1:]} == {"2px"}


@pytest.mark.parametrize("k", [0, 1])
def test_bounds_of_the_prior_hold(drawing, k):
    own = slice(3 * k, 3 * k + 2)
    for right, down, bound in ((-900, 900, LOW), (1200, -900, HIGH)):
        drawing.drag(PEAKS[k], right, down)
        np.testing.assert_array_equal(drawing.params[own], bound[own])
        drawing.check()
    drawing.press("Best fit")
    for right, bound in (
        ((-500, HIGH), (500, LOW)) if k == 0 else (*((500, HIGH), (-500, LOW)),)
    ):
        drawing.drag(SIDES[k], right, 0)
        assert drawing.params[3 * k + 2] == bound[2]
        drawing.check()


def test_exchange_leaves_chi2_to_the_last_digit(drawing):
    drawing.drag(PEAKS[0], 30, 10)
    before, chi2 = drawing.params, drawing.chi2
    line = drawing.root.locator("path.sum").get_attribute("d")
    drawing.press("Exchange labels")
    np.testing.assert_array_equal(drawing.params, np.roll(before, 3))
    assert drawing.chi2 == chi2
    assert drawing.root.locator("path.sum").get_attribute("d") == line
    expect(drawing.root.locator(".readout")).to_contain_text("means not in order")
    drawing.check()


def test_third_mode_is_in_order_and_far_above(drawing):
    drawing.press("Third mode")
    np.testing.assert_array_equal(drawing.params[:3], LOW[:3])
    assert drawing.chi2 - BEST.chi2 > 2e4
    expect(drawing.root.locator(".readout")).to_contain_text("means in order")
    drawing.check()


def slide(drawing, i, value):
    change = "(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }"
    drawing.sliders.nth(i).evaluate(change, value)


@pytest.mark.parametrize(("i", "value"), [(1, -0.45), (3, 1.3), (5, 1.05), (2, 0.7)])
def test_the_other_parameters_follow_to_their_best(drawing, i, value):
    drawing.root.get_by_label(FOLLOW).check()
    slide(drawing, i, value)
    drawing.check()
    params = drawing.params
    assert abs(params[i] - value) < 1e-9
    others = np.delete(np.arange(6), i)

    def at(free):
        return chi2_numpy(np.insert(free, i, value), *PROFILE)

    bounds = [(LOW[j], HIGH[j]) for j in others]
    best = min(
        minimize(at, start[others], method="L-BFGS-B", bounds=bounds).fun
        for start in (params, BEST.params)
    )
    assert at(params[others]) < best + 0.01


def test_no_way_between_the_labelings_is_low(drawing):
    """Followed in small steps, chi squared rises by thousands before any crossing."""
    drawing.root.get_by_label(FOLLOW).check()
    rises = []
    for mean in np.arange(-0.48, 0.6, 0.02):
        slide(drawing, 1, round(float(mean), 2))
        rises.append(drawing.chi2 - BEST.chi2)
        if drawing.params[1] > drawing.params[4]:
            break
    assert max(rises) > 4000
    assert rises[5] < 100  # it follows the valley as long as there is one
    drawing.check()


def test_map_shows_where_we_are(drawing):
    chart = drawing.root.locator("svg.map")
    frame = chart.locator("rect").bounding_box()
    for button in ("Best fit", "Exchange labels", "Third mode"):
        drawing.press(button)
        point = chart.locator("circle.here").bounding_box()
        mean = drawing.params[[1, 4]]
        right = frame["x"] + (mean[0] + 4) / 8 * frame["width"]
        down = frame["y"] + (4 - mean[1]) / 8 * frame["height"]
        assert abs(point["x"] + point["width"] / 2 - right) < 1.5
        assert abs(point["y"] + point["height"] / 2 - down) < 1.5
    assert chart.locator("path.mark").count() == 3
    levels = chart.locator("path.level")
    parts = {
        int(path.get_attribute("data-level")): path.get_attribute("d").count("M")
        for path in levels.all()
    }
    assert parts[3_000] >= 2  # a basin for each labeling
    assert parts[10_000] == 1


def test_screen_reader_hears_where_it_ended(drawing):
    said = drawing.root.get_by_role("status")
    drawing.press("Third mode")
    assert f"{drawing.chi2:,.0f}" not in said.inner_text()  # not at once
    expect(said).to_contain_text(f"χ² {drawing.chi2:,.0f}, ")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_figure_can_be_read(drawing, scheme):
    drawing.visit.wear(scheme)
    texts = drawing.root.locator("p > span, button, legend, label")
    contrasts = texts.evaluate_all(CONTRAST)
    assert len(contrasts) == 14
    for ratio, text in contrasts:
        assert ratio >= 4.5, f"{ratio:.2f}: {text}"
    drawn = drawing.root.locator("path.first, path.second, path.sum, .axes text")
    contrasts = drawn.evaluate_all(
        """drawn => drawn.map(e => {
          const text = e.tagName == "text", copy = document.createElement("span");
          copy.style.color = getComputedStyle(e)[text ? "fill" : "stroke"];
          copy.innerText = text ? e.textContent : e.getAttribute("class");
          copy.className = text ? "text" : "";
          return e.closest(".drag").appendChild(copy);
        }).length"""
    )
    copies = drawing.root.locator(":scope > span")
    for ratio, name in copies.evaluate_all(CONTRAST):
        assert ratio >= (3 if name in ("first", "second", "sum") else 4.5), name
    copies.evaluate_all("copies => copies.forEach(e => e.remove())")


@pytest.mark.parametrize("width", [360, 390, 768])
def test_figure_fits_the_window(drawing, width):
    drawing.visit.resize(width)
    for name in ("Third mode", "Best fit"):
        drawing.press(name)
        assert drawing.tab.evaluate("document.documentElement.scrollWidth") <= width
        box = drawing.root.locator("svg.profile").bounding_box()
        assert box["x"] >= 0
        assert 290 < box["width"] <= width - box["x"]


def test_print_has_the_static_figure(drawing):
    drawing.tab.emulate_media(media="print")
    expect(drawing.tab.locator(f"{FIGURE} img")).to_be_visible()
    expect(drawing.root).to_be_hidden()


def test_static_figure_stands_without_scripts(browser):
    with (
        new_context(browser, java_script_enabled=False) as context,
        closing(context.new_page()) as tab,
    ):
        tab.goto((HTML / "tutorial/labels.html").as_uri())
        image = tab.locator(f"{FIGURE} img")
        expect(image).to_be_visible()
        assert "exchanged" in image.get_attribute("alt")
        assert image.bounding_box()["height"] > 200
        expect(tab.locator(".drag")).to_have_count(0)


def test_script_is_loaded_where_it_is_needed(page):
    scripts = page.soup.select('script[src*="drag.js"], link[href*="drag.css"]')
    assert len(scripts) == 2 * bool(page.soup.select("[data-drag]"))
    assert bool(scripts) == (page.name == "labels")
