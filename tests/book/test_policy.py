"""The content security policy that the book tells its hosts.

The server of the browser tests sends it, so all of them run under it.
"""

from base64 import b64encode
from contextlib import closing
from hashlib import sha256

from conftest import POLICY, Visit

JAVASCRIPT = None, "", "module", "text/javascript"


def source(text):
    """Name an inline script as a policy does."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def inline_scripts(page):
    """Return the scripts and the handlers of events that stand in a page."""
    scripts = page.soup.find_all("script", src=False)
    handlers = [
        value
        for tag in page.soup.find_all(True)
        for name, value in tag.attrs.items()
        if name.startswith("on")
    ]
    return [s.string for s in scripts if s.get("type") in JAVASCRIPT] + handlers


def test_policy_allows_the_inline_scripts_of_the_pages_and_no_others(pages):
    scripts = {s for page in pages.values() for s in inline_scripts(page)}
    allowed = [word for word in POLICY.read_text().split() if "'sha256-" in word]
    allowed = [word.strip(";") for word in allowed]
    needed = {source(script): script for script in scripts}
    missing = {name: needed[name] for name in needed.keys() - allowed}
    assert not missing, f"add to {POLICY.name}: {missing}"
    assert sorted(needed) == allowed


def test_policy_is_told_to_hosts(pages):
    assert POLICY.read_text().strip() in pages["about"].article.get_text()


def test_policy_is_in_force(context, site):
    with closing(Visit(context, f"{site}reference/about.html")) as visit:
        visit.tab.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.head.append(script);
              const image = document.createElement("img");
              image.src = "http://example.org/image.png";
              document.body.append(image);
            }"""
        )
        visit.tab.wait_for_timeout(100)
        assert not visit.tab.evaluate("window.ran")
        refused = [told for told in visit.trouble if "Content Security Policy" in told]
        assert len(refused) == 2
