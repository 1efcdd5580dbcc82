"""The book in a browser: what a reader sees, clicks and copies."""

import re
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from conftest import CONTRAST, HTML, TAKEN, Visit
from playwright.sync_api import expect

NAVIGATION = "nav.bd-links"


# Every page


def test_maths_is_drawn(page, visit):
    formulas = visit.tab.locator(".math")
    assert formulas.count() == len(page.soup.select(".math"))
    raw = formulas.filter(has_not=visit.tab.locator("mjx-container svg"))
    assert not raw.count(), "\n".join(raw.all_inner_texts())
    red = "[data-mjx-error], [data-mml-node=merror], merror, mjx-container [fill=red]"
    wrong = formulas.filter(has=visit.tab.locator(red))
    assert not wrong.count(), "\n".join(wrong.all_inner_texts())


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_images_are_loaded_and_in_proportion(visit, width):
    visit.resize(width)
    wrong = visit.tab.locator("article img").evaluate_all(
        """images => images.filter(i => i.naturalWidth == 0 || i.width == 0 || Math.abs(
        i.width * i.naturalHeight / i.naturalWidth / i.height - 1) > 0.02).map(
        i => `${i.src}, ${i.alt}: ${i.naturalWidth} x ${i.naturalHeight} pixels `
        + `drawn as ${i.width} x ${i.height}`)"""
    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_nothing_is_wider_than_the_window(visit, width):
    visit.resize(width)
    wide = visit.tab.evaluate(
        """() => {
          const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX)
                                     || scrolls(e.parentElement));
          return document.documentElement.scrollWidth <= innerWidth ? [] :
            ["the page", ...[...document.querySelectorAll("main *")].filter(
              e => e.getBoundingClientRect().right > innerWidth && !scrolls(e)
            ).map(e => e.outerHTML.slice(0, 99))];
        }"""
    )
    assert not wide, "\n".join(wide)


def test_code_and_output_fit_a_desktop(visit):
    visit.resize(1280)
    cut = visit.tab.locator("article pre").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)"
    )
    assert not cut, "\n\n".join(cut)


def test_button_opens_and_closes_the_sidebar(visit):
    button, links = visit.tab.locator(".primary-toggle"), NAVIGATION
    visit.resize(1280)
    expect(visit.tab.locator(links)).to_be_in_viewport()
    button.click()
    expect(visit.tab.locator(links)).to_be_hidden()
    button.click()
    expect(visit.tab.locator(links)).to_be_in_viewport()
    visit.resize(390)
    expect(visit.tab.locator(links)).to_be_hidden()
    button.click()
    expect(visit.tab.locator(links)).to_be_in_viewport()
    visit.tab.mouse.click(380, 450)  # beside the sidebar
    expect(visit.tab.locator(links)).to_be_hidden()


def test_nothing_failed_or_came_from_elsewhere(visit):
    """Look back on the tests above, which share the visit."""
    assert not visit.trouble, "\n".join(visit.trouble)


# Executed pages


def test_copy_buttons_give_exactly_the_source(executed, reading):
    reading.resize(1280)
    reading.tab.evaluate(
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    copied = reading.tab.evaluate(
        """async () => {
          const copied = [];
          for (const button of document.querySelectorAll(".cell_input .copybtn")) {
            await navigator.clipboard.writeText("");
            button.click();
            let text = "";
            for (let i = 0; !text && i < 100; i++) {  // a busy machine lets it wait
              await new Promise(done => setTimeout(done, 10 * i));
              text = await navigator.clipboard.readText();
            }
            copied.push(text);
          }
          await navigator.clipboard.writeText("");
          return copied;
        }"""
    )
    assert len(copied) == len(executed.shown)
    for text, cell in zip(copied, executed.shown, strict=True):
        assert text == cell.source
    reading.tab.locator(".cell_input .copybtn").first.click()  # the mouse reaches it
    assert reading.tab.evaluate("navigator.clipboard.readText()") == copied[0]
    expect(reading.tab.locator(".cell_output .copybtn")).to_have_count(0)


def test_the_page_is_copied_as_a_script(executed, reading):
    """By the keyboard: the copied text is the code of the script to download."""
    tab = reading.tab
    tab.evaluate("navigator.clipboard.writeText('')")
    toggle = tab.get_by_role("button", name="Take this page away")
    toggle.focus()
    tab.keyboard.press("Enter")
    button = tab.get_by_role("button", name="Copy the page as a script")
    expect(button).to_be_visible()
    for _ in range(3):
        tab.keyboard.press("ArrowDown")
    expect(button).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("output.copied")).to_have_text(re.compile("^Copied"))
    expect(toggle).to_be_focused()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == "\n\n".join(executed.script_code) + "\n"
    assert not reading.trouble, "\n".join(reading.trouble)


def test_downloads_are_saved(executed, reading):
    tab = reading.tab
    for name, text in (("Notebook (.ipynb)", "ipynb"), ("Script (.py)", "py")):
        tab.get_by_role("button", name="Take this page away").click()
        with tab.expect_download() as saved:
            tab.get_by_role("link", name=name).click()
        file = TAKEN / f"jaxbayes-{executed.name}.{text}"
        assert saved.value.suggested_filename == file.name
        assert Path(saved.value.path()).read_bytes() == file.read_bytes()


def test_solutions_open_by_mouse_and_by_keyboard(executed, reading):
    solutions = reading.tab.locator(".solution")
    assert solutions.count() == executed.source.count("{solution-start}")
    for solution in solutions.all():
        title = solution.locator(".admonition-title")
        content = solution.locator(".solution-content")
        expect(content).to_be_hidden()
        title.click(position={"x": 20, "y": 12})  # beside the link that it holds
        expect(content).to_be_visible()
        title.locator("button").click()
        expect(content).to_be_hidden()
        title.locator("a").focus()
        reading.tab.keyboard.press("Tab")
        for key in ("Enter", "Space"):
            reading.tab.keyboard.press(key)
            expect(content).to_be_visible(visible=key == "Enter")
    assert not reading.trouble, "\n".join(reading.trouble)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_small_print_can_be_read(reading, scheme):
    reading.wear(scheme)
    texts = reading.tab.locator("figcaption p, figcaption span, p.provenance")
    contrasts = texts.evaluate_all(CONTRAST)
    assert contrasts
    faint = [f"{ratio:.2f}: {text}" for ratio, text in contrasts if ratio < 4.5]
    assert not faint, "\n".join(faint)


# The book as a whole


@pytest.mark.parametrize(
    ("words", "page_found"),
    [
        ("status 3", "jax-fit"),
        ("finite differences", "gradients"),
        ("prior predictive", "posterior"),
        ("mirror images", "labels"),
        ("label switching", "labels"),
        ("third mode", "modes"),
        ("TracerBoolConversionError", "troubleshooting"),
        ("jaxpr", "glossary"),
        ("laplace_covariance", "api"),
        ("OrderedUniform", "api"),
    ],
)
def test_search_finds_first(context, site, words, page_found):
    assert hits(context, site, words)[0] == page_found


@pytest.mark.parametrize(
    ("words", "page_found"),
    [
        ("wavelength", "your-data"),
        ("bad pixels mask", "your-data"),
        ("continuum", "your-model"),
        ("Poisson counts", "counts"),
        ("unknown noise", "counts"),
        ("equivalent width", "results"),
        ("netcdf", "saving"),
        ("outliers", "troubleshooting"),
        ("init_params", "troubleshooting"),
        ("not sorted", "troubleshooting"),
    ],
)
def test_search_finds_soon_what_a_reader_has(context, site, words, page_found):
    assert page_found in hits(context, site, words)[:3]


def hits(context, site, words):
    """Search as a reader does; return the names of the pages found, best first."""
    with closing(Visit(context, f"{site}reference/about.html")) as visit:
        visit.tab.keyboard.press("Control+k")
        visit.tab.keyboard.type(words)
        visit.tab.keyboard.press("Enter")
        visit.tab.wait_for_url("**/search.html*")
        expect(visit.tab.locator("p.search-summary")).to_contain_text("finished")
        links = visit.tab.locator("ul.search > li > a")
        expect(links.first).to_be_visible()
        found = links.evaluate_all("all => all.map(a => a.getAttribute('href'))")
        assert not visit.trouble, "\n".join(visit.trouble)
        return [Path(one.partition(".html")[0]).name for one in found]


def test_theme_is_switched_and_remembered(fresh, site):
    with closing(Visit(fresh, f"{site}index.html")) as visit:
        tab, html, body = (
            visit.tab,
            visit.tab.locator("html"),
            visit.tab.locator("body"),
        )
        expect(html).to_have_attribute("data-theme", "light")
        light = body.evaluate("body => getComputedStyle(body).backgroundColor")
        tab.locator("main .theme-switch-button").click()
        tab.get_by_role("button", name="Dark").click()
        expect(html).to_have_attribute("data-theme", "dark")
        expect(body).not_to_have_css("background-color", light)
        for go in (tab.reload, partial(tab.goto, f"{site}reference/about.html")):
            go()
            expect(html).to_have_attribute("data-theme", "dark")
            expect(body).not_to_have_css("background-color", light)
        assert not visit.trouble, "\n".join(visit.trouble)


def test_book_works_from_a_folder_without_a_network(fresh, pages):
    fresh.set_offline(True)
    with closing(Visit(fresh, (HTML / "index.html").as_uri())) as visit:
        visit.tab.locator(NAVIGATION).get_by_text("Fit with JAX").click()
        visit.tab.wait_for_url("**/tutorial/jax-fit.html")
        visit.tab.evaluate("MathJax.startup.promise")
        assert visit.tab.locator(".math:has(svg)").count() > 9
        visit.tab.get_by_role("button", name="Take this page away").click()
        visit.tab.get_by_role("button", name="Copy the page as a script").click()
        copied = visit.tab.evaluate("navigator.clipboard.readText()")
        assert copied == "\n\n".join(pages["jax-fit"].script_code) + "\n"
        assert (
            visit.tab.locator("article img").first.evaluate("i => i.naturalWidth") > 0
        )
        assert visit.tab.locator(NAVIGATION).evaluate("n => n.offsetWidth") < 400
        assert not visit.trouble, "\n".join(visit.trouble)
