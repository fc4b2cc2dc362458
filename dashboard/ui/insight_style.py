"""The insights' and the health page's own looks, beside style.css."""

from __future__ import annotations

from pathlib import Path

STYLE = f"<style>{(Path(__file__).parent / 'insights.css').read_text()}</style>"
