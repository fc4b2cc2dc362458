"""Prints every route of the dashboard's server, as JSON: its kind, its path, its methods.

A program of its own, since a process can have one Streamlit only.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from starlette.routing import BaseRoute, Mount

from dashboard.app import app


def describe(route: BaseRoute) -> dict[str, Any]:
    path = re.sub(r"{[^}]*}", "a", getattr(route, "path", "")) or "/"
    inner = [describe(one) for one in route.routes or []] if isinstance(route, Mount) else []
    return {
        "kind": type(route).__name__,
        "path": path,
        "methods": sorted(getattr(route, "methods", None) or []),
        "inner": inner,
    }


built = app._build_starlette_app()
sys.stdout.write("ROUTES " + json.dumps([describe(route) for route in built.routes]))
