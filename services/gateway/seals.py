"""What browsers and paper keep for us: values sealed so that they come back as they left, and digests nobody else can make."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

FLOW, IDENTITY, DEVICE = "sign-in", "identity", "device"
_CODES = "activation-codes"
_LONGEST = 4096


class Seals:
    """Keys derived from the gateway's private key, one a purpose: a value sealed for one opens for no other."""

    def __init__(self, private_pem: bytes) -> None:
        key = load_pem_private_key(private_pem, None)
        self._secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._boxes = {
            purpose: Fernet(base64.urlsafe_b64encode(self._derived(purpose))) for purpose in (FLOW, IDENTITY, DEVICE)
        }
        self._codes = self._derived(_CODES)

    def _derived(self, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, None, f"preau {purpose}".encode()).derive(self._secret)

    def seal(self, purpose: str, values: Mapping[str, str | None]) -> str:
        """Values as a text fit for a cookie; nobody else reads or makes it."""
        return self._boxes[purpose].encrypt(json.dumps(values).encode()).decode()

    def open(self, purpose: str, text: str, seconds: int) -> dict[str, str | None] | None:
        """The values sealed at most so long ago; None for anything else."""
        if not text or len(text) > _LONGEST:
            return None
        try:
            found: dict[str, str | None] = json.loads(self._boxes[purpose].decrypt(text.encode(), ttl=seconds))
        except (InvalidToken, ValueError):
            return None
        return found

    def code_digest(self, code: str) -> bytes:
        """What is kept of an activation code: too short for a plain hash, whoever has the table alone can't search it."""
        return hmac.new(self._codes, code.encode(), hashlib.sha256).digest()
