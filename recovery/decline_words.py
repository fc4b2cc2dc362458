"""What a bank's words say about a decline: where no code does, and where they forbid more than a
code.

All patterns that forbid are looked for, and the strictest counts; only a text without any is read
for what it permits. So a refusal, wherever it is added, never makes a text milder.
docs/creators/declines.md tells it to creators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TYPOGRAPHIC = "\u2019"
Patterns = tuple[tuple[re.Pattern[str], str], ...]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


def compile_all(*rows: tuple[str, str]) -> Patterns:
    return tuple((compile_pattern(pattern), code) for pattern, code in rows)


# Said with a negation or a frightening word, and yet no refusal. Struck out before refusals are
# looked for: a word put within it makes the text stricter.
HARMLESS = compile_pattern(
    r"""
    \bdo(es)?\ not\ hono(u)?r\b
    | (?<!do\ )\bnot\ (enough|sufficient)\b | \bno\ more\ (funds|money|credit)\b
    | \b(could|can|did|does|was|is|has|had)(\ not|n't)\ (be\ )?
      (authori[sz]e | verif(y|ied) | authenticate(d)? | reach(ed)? | respond(ed)? | answer(ed)?
      | complete(d)? | process(ed)? | available | have\ (enough|sufficient))\b
    | \bcannot\ (be\ )?(authori[sz]e | verif(y|ied) | reach(ed)? | process(ed)?)\b
    | \bno\ (response|reply|answer)\b | \bwent\ wrong\b
    | \b(connection|session|network|signal)(\ \w+){0,3}\ (lost|closed|expired)\b
    | \blost\ (the\ |our\ )?connection\b
    | \b(request|link|token|challenge)(\ \w+){0,2}\ expired\b
    | \b(3.?d.?s(ecure)?|authentication|challenge|verification)(\ \w+){0,3}\ cancell?ed\b
    """
)
# A refusal of whatever it stands with.
REFUSALS = compile_pattern(
    r"""
    \b(do|must|may|should|shall|will|would)\ (not|never)\b
    | \b(do|must|should|wo|would|sha)n'?t\b
    | \b(never | no\ (longer|more|further) | not\ again | stop | cease | refrain | forever
      | permanent\w* | hard.?declin\w*)\b
    | \bnot\ (be\ )?(\w+\ ){0,2}?(permit\w* | allow\w* | authori[sz]ed | eligible | accept\w*
      | support\w* | enabled | activated | valid | recogni[sz]ed | retr(y|ied) | resubmit\w*
      | reattempt\w*)\b
    | \b(can|does|is|are|was)n'?t\ (be\ )?
      (permit\w* | allow\w* | authori[sz]ed | accept\w* | support\w* | charged | used | retried)\b
    | \bcannot\ (be\ )?(charge\w* | use\w* | retr(y|ied) | accept\w* | support\w*)
    | \bunauthori[sz]ed\b | \bdisallowed\b | \bforbid | \bprohibit | \bunsupported | \bineligible
    """
)
# In a text that refuses anyway, a word like this means the worst; alone it means nothing.
HINTS = compile_all(
    (r"\bstop | \bcancel | \brevo[ck] | \bwithdr[ae]w | \bdisput", "transaction_stopped"),
    (r"\blost\b | \bpick | \bsecurity | \brisk | \bcaptur | \bretain | \bblack", "suspected_fraud"),
    (r"\bamount\b", "invalid_amount"),
    (r"\bdirect\b | \brouting | \bsort\b", "bank_generic_decline"),
)
PAYER = r"\W+by\W+(the\W+)?(card|account)?\W*(holder|customer|member|payer|debtor|client|user)"
FORBIDDING = compile_all(
    (r"stolen | theft", "stolen_card"),
    (r"\blost\W+(or\W+)?(stolen\W+)?cards?\b | \breported\W+(as\W+)?lost\b", "lost_card"),
    (r"\bcards?\W+((is|was|has|been|reported|declared|as)\W+)*lost\b", "lost_card"),
    (r"\bpick\W*(it\W+|(the\W+)?card\W+)?up\b | \bhold\W+call", "suspected_fraud"),
    (r"\b(retain|captur|confiscat|seiz)\w*\W+((the|this)\W+)?card", "suspected_fraud"),
    (r"fraud | counterfeit | violation | suspicious | security\W+reason", "suspected_fraud"),
    (r"high.?risk", "high_risk"),
    (r"black.?list | block.?list | \bsanction | regulat\w+\W+block", "merchant_blacklist"),
    (
        r"""\bstop(ped|s)?\W+((all|this|the|future|recurring)\W+)*
        (payment|order|charge|debit|billing|recurring|subscription)""",
        "transaction_stopped",
    ),
    (
        r"\b(payment|charge|debit|transaction|subscription)s?\W+((is|was|has|been)\W+)*stopped\b",
        "transaction_stopped",
    ),
    (
        rf"\b(stopped|blocked|refused|disputed|rejected|withdrawn)(\W+\w+){{0,6}}?{PAYER}",
        "transaction_stopped",
    ),
    (
        r"\brevo(k|cation) | \bwithdr[ae]w\w*\W+(\w+\W+){0,2}(consent|perm|auth|mandate)",
        "transaction_stopped",
    ),
    (r"\bcancell?(ed|ation)\b", "transaction_cancelled"),
    (r"duplicat", "duplicate_transaction"),
    (
        r"""\b(invalid|wrong|incorrect)\W+(\w+\W+)?amount
        | \bamount\W+(is\W+)?(invalid|wrong|incorrect)""",
        "invalid_amount",
    ),
    (
        r"""\bmandate\b | \biban\b | direct\W+debit | \b(ach|sepa|bacs|becs)\b | routing\W+number
        | sort\W+code""",
        "bank_generic_decline",
    ),
    (r"expired | \bexpiry\b | expiration\W+date", "expired_card"),
    (
        r"""\baccount\W+(\w+\W+){0,3}(closed|frozen|suspended) | \bclosed\W+account | deceased
        | \bno\W+(\w+\W+)?account\b""",
        "closed_account",
    ),
    (
        r"\b(no\W+such|unknown)\W+(issuer|card) | issuer\W+not\W+found | no\W+card\W+record",
        "issuer_not_found",
    ),
    (r"\binvalid\W+(transaction|trans)\b", "invalid_transaction"),
    (
        r"does(\ not|n't)\ (allow|permit|support|accept) | \bblocked\b | \binactive\b",
        "transaction_not_allowed",
    ),
    (r"\b(invalid|wrong|incorrect)\W+(\w+\W+){0,3}(cvc|cvv|security\W+code)", "invalid_cvc"),
    (
        r"\b(invalid|wrong|incorrect)\W+(\w+\W+){0,3}(number|card|account|pin|zip|postal)",
        "invalid_card_number",
    ),
    (r"\bpin\W+(re)?(try|tries|attempt)", "pin_try_exceeded"),
    (r"\bnew\W+card\W+(was\W+)?issued", "card_not_supported"),
)
# What a later charge may mend; the first that matches.
PERMITTING = compile_all(
    (r"insufficient | \bsufficient | \benough | \bno\ funds | \boverdr", "insufficient_funds"),
    (r"3.?ds | 3.?d.?secure | authenticat | verif(y|ied|ication)", "authentication_required"),
    (r"limit | velocity | \bexceed | too\ many", "card_velocity_exceeded"),
    (r"restricted", "restricted_card"),
    (r"\b(contact|call|refer)\b | hono(u)?r", "contact_issuer"),
    (r"declin | denied | refus | reject | approv | authori[sz]", "generic_decline"),
)
# In the company of such a word nothing is called technical.
DOUBT = compile_pattern(
    r"""
    \b(not|no|none|nor|without|cannot|unable)\b | n't\b
    | \b(abort|block|cancel|disabl|lock|lost|stop|suspend|unexpected)
    """
)
TECHNICAL = compile_all(
    (
        r"""unavailable | \bavailable | \btry\ again | \bretry | time[d]?\W*out | inoperative
        | malfunction | unreachable | be\ reached | re.?enter | (not|n't|no)\ respon
        | connection\ (\w+\ ){0,3}lost""",
        "try_again_later",
    ),
    (
        r"\b(process\w*|system|network|connection|gateway|technical)\W+(\w+\W+)?(error|fail|fault)",
        "processing_error",
    ),
)


def list_forbidding(text: str) -> Iterator[str]:
    """The codes that the text implies after which the card is not charged again."""
    left = strike(text)
    yield from find(FORBIDDING, left)
    if REFUSALS.search(left):
        yield from find(HINTS, left)
        yield "transaction_not_allowed"


def list_permitting(text: str) -> Iterator[str]:
    """What a text that forbids nothing implies, the most telling first."""
    readable = tidy(text)
    yield from find(PERMITTING, readable)
    if not DOUBT.search(strike(text)):
        yield from find(TECHNICAL, readable)


def strike(text: str) -> str:
    return HARMLESS.sub(" ; ", tidy(text))


def tidy(text: str) -> str:
    """Codes and CamelCase as words, with single spaces."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-]", " ", text.replace(TYPOGRAPHIC, "'"))
    return " ".join(words.split())


def find(patterns: Patterns, text: str) -> Iterator[str]:
    return (code for pattern, code in patterns if pattern.search(text))
