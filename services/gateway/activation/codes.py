"""What an activation code looks like on paper and as it is typed. Pure."""

from __future__ import annotations

import re
import secrets
import unicodedata

ALPHABET = "ACDEFGHJKLMNPQRTUVWXY34679"
"""Capitals and digits that nobody takes for one another on paper (no B and 8, I and 1, O and 0, S and 5, Z and 2)."""
_LENGTH = 12
_GROUP = 4
_CODE = re.compile(f"[{ALPHABET}]{{{_LENGTH}}}")


def new_code() -> str:
    """A fresh code, of 56 random bits, as it is printed: `KX4M-…-…`."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))
    return "-".join(code[n : n + _GROUP] for n in range(0, _LENGTH, _GROUP))


def typed(text: str) -> str | None:
    """The code somebody typed, whatever its case and dashes; None for what can't be one."""
    folded = re.sub(r"[\s\-\u2010-\u2015]", "", unicodedata.normalize("NFKC", text)).upper()
    return folded if _CODE.fullmatch(folded) else None
