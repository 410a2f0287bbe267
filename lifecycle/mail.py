"""L3. Mail: RFC 5322 bytes -> `Email`, and `Draft` -> RFC 5322 bytes (semantics 2a, 4). Pure.

Four private modules do it: `_mail_text` turns bytes into text, `_mail_parts` cuts a mail into
its parts, `_mail_parse` makes an `Email` of them, `_mail_render` writes a reply.
"""

from lifecycle._mail_parse import (
    DEFAULT_MAIL_LIMITS,
    MailLimits,
    ParsedMail,
    parse_email,
    parse_mail,
)
from lifecycle._mail_render import ascii_domain, render

__all__ = [
    "DEFAULT_MAIL_LIMITS",
    "MailLimits",
    "ParsedMail",
    "ascii_domain",
    "parse_email",
    "parse_mail",
    "render",
]
