"""`python -m sandbox`: a local Whop and SendGrid on port 9000."""

import os

from sandbox.demo.live import run, settings_from

if __name__ == "__main__":
    settings = settings_from(os.environ)
    print(f"Sandbox: http://{settings.host}:{settings.port} -> webhooks to {settings.webhook_url}")
    run(settings)
