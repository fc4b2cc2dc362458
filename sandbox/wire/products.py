"""Products as Whop lists them: what buyers see of them."""

from collections.abc import Sequence
from typing import Any


def product(product_id: str, title: str) -> dict[str, Any]:
    return {
        "id": product_id,
        "title": title,
        "route": title.lower().replace(" ", "-"),
        "average_review_rating": 0.0,
        "published_reviews_count": 0,
        "member_count": 0,
        "gallery_images": [],
        "labels": [],
        "verified": False,
        "created_at": "2025-01-01T00:00:00Z",
        "updated_at": "2025-01-01T00:00:00Z",
    }


def list_products(products: Sequence[tuple[str, str]], *, more: bool) -> dict[str, Any]:
    """The cursor is the last product's id."""
    return {
        "data": [product(*one) for one in products],
        "page_info": {
            "start_cursor": products[0][0] if products else None,
            "end_cursor": products[-1][0] if products else None,
            "has_next_page": more,
            "has_previous_page": False,
        },
    }
