"""How amounts of money are written, the same everywhere."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "inr": "₹"}
# ISO 4217; every other currency has two.
WHOLE = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
THREE = "bhd iqd jod kwd lyd omr tnd"
DECIMALS = dict.fromkeys(WHOLE.split(), 0) | dict.fromkeys(THREE.split(), 3)


def format_money(amount: Decimal, currency: str) -> str:
    """`$1,234.50`, `1,234.50 CAD`, `1,235 JPY`: never a symbol that several currencies share."""
    code = currency.lower()
    rounded = amount.quantize(Decimal(1).scaleb(-DECIMALS.get(code, 2)), ROUND_HALF_UP)
    if symbol := SYMBOLS.get(code):
        return f"{symbol}{rounded:,f}"
    return f"{rounded:,f} {code.upper()}".strip()


def format_usd(amount: Decimal | int) -> str:
    """Of sums, which are in US dollars."""
    return format_money(Decimal(amount), "usd")
