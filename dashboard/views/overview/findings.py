"""Our impact, and what came back before the installation: a sentence each, once known."""

from __future__ import annotations

from markupsafe import Markup

from dashboard.data.overview import Findings
from dashboard.text.lift import (
    describe_baseline,
    describe_lift,
    describe_pooled,
    describe_unneeded,
)
from dashboard.ui.html import show_html


def show_findings(findings: Findings, *, claims: bool) -> None:
    """`claims`: whether any recovered money is claimed."""
    sentences = []
    if findings.lift is not None:
        sentences.append(describe_lift(findings.lift))
    if findings.pooled is not None:
        sentences.append(describe_pooled(findings.pooled, findings.lift))
    if claims:
        sentences.append(describe_unneeded(findings.lift))
    if findings.baseline is not None:
        sentences.append(describe_baseline(findings.baseline))
    if sentences:
        paragraphs = (Markup('<p class="finding">{}</p>').format(words) for words in sentences)
        show_html(Markup("").join(paragraphs))
