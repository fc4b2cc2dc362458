"""The settings' names and values in words: the settings page and the activity log share them."""

from __future__ import annotations

from recovery.labels import CHANNELS

SETTINGS: dict[str, str] = {
    "name": "Company name",
    "time_zone": "Time zone",
    "holdout_percent": "Control group",
    "backup_card": "Try the backup card",
    "explores": "Try other good hours",
    "enabled": "Messages to members",
    "channel": "Channel",
    "sender_name": "Sender name",
    "reply_to": "Reply-to address",
    "accent": "Button color",
    "note": "Closing note",
    "quiet_from": "Quiet hours start",
    "quiet_until": "Quiet hours end",
    "daily_cap": "Daily limit",
    "digest_to": "Digest address",
    "digest": "Weekly digest",
    "post_url": "Discord or Slack webhook",
    "on_recovery": "Post recoveries",
    "on_problem": "Post problems",
}
HOURS = {"quiet_from", "quiet_until"}


def name_setting(name: str) -> str:
    """Also of a setting that an older version kept."""
    return SETTINGS.get(name, name.replace("_", " ").capitalize())


def format_value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if name in HOURS:
        return f"{value}:00"
    if name == "holdout_percent":
        return f"{value}%"
    if name == "channel":
        return next((label for channel, label in CHANNELS.items() if channel == value), str(value))
    return str(value)
