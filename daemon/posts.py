"""Posts to Discord's and Slack's incoming webhooks: one call per post, and reads the answer."""

from __future__ import annotations

from functools import cached_property

import httpx

from db.company_settings.notifications import find_platform
from db.company_settings.validity import ChoiceError
from mail.posts import encode
from recovery.delivery import Delivery, put_off, refused, sent, unknown

TIMEOUT_SECONDS = 10


class Poster:
    """`in_development` also allows the sandbox's address. Errors never contain the address: it is
    a secret."""

    def __init__(
        self, in_development: bool = False, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.in_development, self.transport = in_development, transport

    @cached_property
    def http(self) -> httpx.Client:
        """Made on first use, because every httpx client loads all root certificates."""
        # A redirect could lead anywhere, even into the private network.
        return httpx.Client(
            timeout=TIMEOUT_SECONDS, follow_redirects=False, transport=self.transport
        )

    def send(self, post_url: str, text: str) -> Delivery:
        try:
            platform = find_platform(post_url, self.in_development)
        except ChoiceError as error:
            return refused(str(error))
        try:
            response = self.http.post(post_url, json=encode(platform, text))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return put_off(f"{platform} is out of reach ({type(error).__name__})")
        except httpx.HTTPError as error:
            return unknown(f"no answer from {platform} ({type(error).__name__})")
        return sent() if response.is_success else interpret_status(platform, response.status_code)


def interpret_status(platform: str, status: int) -> Delivery:
    detail = f"{platform} answered {status}"
    if status == 429:
        return put_off(detail)
    return unknown(detail) if status >= 500 else refused(detail)
