"""`uvicorn webhook.main:app`"""

from __future__ import annotations

from db.logs import configure_logging
from db.session import connect, database_url
from db.settings import load_settings
from webhook.app import create_app
from webhook.settings import WebhookSettings

settings = load_settings(WebhookSettings)
configure_logging(settings.log_level, settings.log_format)
url = database_url(settings)
writer_engine = connect(url, "webhook-inbox", pool_size=1, ask_first=False)
app = create_app(settings, connect(url, "webhook"), writer_engine=writer_engine)
