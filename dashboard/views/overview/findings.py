"""What our work adds, and how it was before us: a sentence each, once it is known."""

from __future__ import annotations

from markupsafe import Markup

from dashboard.data.overview import Findings
from dashboard.text.lift import describe_baseline, describe_lift
from dashboard.ui.html import show_html


def show_findings(findings: Findings) -> None:
    sentences = []
    if findings.lift is not None:
        sentences.append(describe_lift(findings.lift))
    if findings.baseline is not None:
        sentences.append(describe_baseline(findings.baseline))
    if sentences:
        told = (Markup('<p class="finding">{}</p>').format(words) for words in sentences)
        show_html(Markup("").join(told))
