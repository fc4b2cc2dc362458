"""The palette, light and dark: charts read it directly, style.css as custom properties."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache

from markupsafe import Markup

from dashboard.ui.html import fill
from recovery.status import RecoveredBy


@dataclass(frozen=True, slots=True)
class Palette:
    """`by_retry`, `by_click`, `by_member`, `without_us`: who brought the money. From there to
    `failed` and the page the lightness goes one way, so that the order can be told without seeing
    any colour."""

    page: str
    surface: str
    line: str
    ink: str
    muted: str
    accent: str
    by_retry: str
    by_click: str
    by_member: str
    without_us: str
    failed: str
    good: str
    good_ink: str
    working: str
    working_ink: str
    waiting: str
    waiting_ink: str
    over: str
    over_ink: str

    def of(self, by: RecoveredBy) -> str:
        return str(getattr(self, name_tone(by)))


def name_tone(by: RecoveredBy) -> str:
    return by.value if by is RecoveredBy.WITHOUT_US else f"by_{by}"


LIGHT = Palette(
    page="#FFFFFF",
    surface="#F8FAFC",
    line="#E2E8F0",
    ink="#0F172A",
    muted="#5B6B82",
    accent="#0F766E",
    by_retry="#115E59",
    by_click="#B45309",
    by_member="#D97706",
    without_us="#5EBFB2",
    failed="#CBD5E1",
    good="#CCFBF1",
    good_ink="#115E59",
    working="#E0E7FF",
    working_ink="#3730A3",
    waiting="#FEF3C7",
    waiting_ink="#854D0E",
    over="#F1F5F9",
    over_ink="#475569",
)
DARK = Palette(
    page="#0B1220",
    surface="#131C2E",
    line="#27344A",
    ink="#F1F5F9",
    muted="#9AA9BF",
    accent="#2DD4BF",
    by_retry="#99F6E4",
    by_click="#FBBF24",
    by_member="#E08A0B",
    without_us="#1F6F67",
    failed="#334155",
    good="#134E4A",
    good_ink="#99F6E4",
    working="#312E81",
    working_ink="#C7D2FE",
    waiting="#4A2C0A",
    waiting_ink="#FDE68A",
    over="#1E293B",
    over_ink="#CBD5E1",
)


def choose(theme: str | None) -> Palette:
    """By what `st.context.theme.type` says; charts cannot follow the page's own colours."""
    return DARK if theme == "dark" else LIGHT


@cache
def render_style() -> Markup:
    """Streamlit sets `color-scheme` with its theme; `light-dark()` follows that, at once."""
    dark = asdict(DARK)
    tones = [(name.replace("_", "-"), light, dark[name]) for name, light in asdict(LIGHT).items()]
    return fill("ui/style.html", tones=tones)


@cache
def render_insight_style() -> Markup:
    """The extra style of the insights and health pages."""
    return fill("ui/insights.html")
