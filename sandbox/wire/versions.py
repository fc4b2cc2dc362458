"""The API versions that the official SDK 2.6.0 knows. The first is the original, Legacy one."""

from sandbox.wire.exchange import bad_request
from sandbox.wire.shapes import Shape

HEADER = "api-version-date"
ORIGINAL = "2025-01-01"
NEWEST = "2026-10-15-1"
OF_2026 = """
06-08 06-09 06-20 07-01 07-08 07-08-1 07-18 07-20 07-22 07-23 07-25 07-26 07-27 07-29 07-29-1 07-31
08-03 08-05 08-05-1 08-10 08-12 08-13 08-14 08-21 08-21-1 08-25 08-25-1 08-25-2 08-31
09-02 09-02-1 09-02-2 09-04 09-06 09-09 09-09-1 09-11 09-11-1 09-13 09-15 09-22 09-22-1 09-22-2
09-22-3 09-22-4 09-23 09-24 09-24-1 09-25 09-28 09-29
10-05 10-05-1 10-06 10-06-1 10-06-2 10-07 10-07-1 10-07-2 10-08 10-09 10-09-1 10-09-2 10-13 10-13-1
10-14 10-14-1 10-15 10-15-1
"""
SUPPORTED = (ORIGINAL, *(f"2026-{date}" for date in OF_2026.split()))


def shape_for(version: str | None) -> Shape:
    if version is None or version == ORIGINAL:
        return "legacy"
    if version in SUPPORTED:
        return "current"
    listed = ", ".join(SUPPORTED)
    raise bad_request(
        "api_version_invalid", f"Unknown Api-Version-Date. Supported: {listed}", "Api-Version-Date"
    )
