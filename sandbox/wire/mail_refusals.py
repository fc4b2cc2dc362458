"""What SendGrid answers an email that it does not accept: a status, words, and the field at fault.

The words and fields are SendGrid's own, from its documentation and from public reports.
"""

# By the switch `mail_refusal`.
MAIL_REFUSALS: dict[str, tuple[int, str, str | None]] = {
    "revoked_key": (
        401,
        "The provided authorization grant is invalid, expired, or revoked",
        None,
    ),
    "credits": (401, "Maximum credits exceeded", None),
    "no_permission": (403, "access forbidden", None),
    "sender": (403, "The from address does not match a verified Sender Identity.", "from"),
    "address": (400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
    "content": (
        400,
        "The content value must be a string at least one character in length.",
        "content.0.value",
    ),
    "too_large": (413, "The JSON payload you have included in your request is too large.", None),
    "region": (451, "Unavailable due to data residency restrictions", None),
}
