"""axe-core in the browser: what is wrong with a page as it stands. `scripts/axe` fetches it."""

from __future__ import annotations

import tarfile
from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.chromium import LOOKS, look
from tests.processes import ROOT

ARCHIVE = ROOT / ".venv" / "axe-core.tgz"
# Faults of Streamlit's own parts that nothing of ours can mend: rule, element, why. No whole rule
# is left out, and none of them is worse than moderate.
BORROWED = {
    ("region", "[role=listbox]"): "Streamlit hangs an open list beside all landmarks",
    ("region", "#stFloatingOverlayPortal"): "and its tooltips as well",
}
# A mail lies in a frame of no origin: without this, axe would not look into it.
CONFIGURE = "axe.configure({allowedOrigins: ['<unsafe_all_origins>']})"
RUN = """async () => (await axe.run({resultTypes: ['violations']})).violations.flatMap(found =>
    found.nodes.map(node => ({
        rule: found.id, impact: found.impact, where: node.target.join(' '),
        why: node.failureSummary, html: node.html.slice(0, 200),
    })))"""


@cache
def read_axe() -> str:
    assert ARCHIVE.exists(), "scripts/axe fetches axe-core"
    with tarfile.open(ARCHIVE) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return f"{script.read().decode()};{CONFIGURE}"


def find_faults(page: Page) -> list[dict[str, Any]]:
    for frame in page.frames:
        if not frame.evaluate("'axe' in window"):
            frame.evaluate(read_axe())
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return found


def is_borrowed(page: Page, fault: dict[str, Any]) -> bool:
    places = (element for rule, element in BORROWED if rule == fault["rule"])
    found = page.locator(fault["where"])
    return any(found.evaluate("(one, place) => one.matches(place)", place) for place in places)


def assert_usable(page: Page, looks: tuple[tuple[str, int], ...] = LOOKS) -> None:
    """Nothing is wrong with the page, whichever rule it is and however little it matters."""
    told = []
    for scheme, width in looks:
        look(page, scheme, width)
        told += [
            f"{page.url} {scheme} {width}: {fault['impact']}, {fault['rule']} at {fault['where']}: "
            f"{fault['why']}\n    {fault['html']}"
            for fault in find_faults(page)
            if not is_borrowed(page, fault)
        ]
    assert not told, "\n".join(told)
