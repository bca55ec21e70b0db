"""The provider: `python -m tests.provider.serve '{"port": …, "callbacks": […], "back": …}'`."""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.core.models import AuthorizationCodeMixin
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask, jsonify, request, session
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

from tests.provider import CLIENT, PASSWORD, SECRET

TOLD: dict[str, Any] = json.loads(sys.argv[1])
ISSUER = f"http://127.0.0.1:{TOLD['port']}"
FORM = """<!doctype html><html lang=en><title>Provider</title><form method=post><input name=user><input name=password
type=password><button name=answer value=yes>Sign in</button><button name=answer value=no>Refuse</button></form></html>"""
# Authlib refuses plain HTTP, which is all there is on a test's own machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)


class State:
    key = _key()
    mode = ""
    codes: dict[str, Any] = {}


class Client(ClientMixin):
    client_id = CLIENT
    client_metadata = {"post_logout_redirect_uris": [TOLD["back"]]}

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return str(TOLD["callbacks"][0])

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in TOLD["callbacks"]

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):
    def __init__(self, code: str, user: str, payload: Any) -> None:
        self.code, self.user, data = code, user, payload.data
        self.redirect_uri, self.scope, self.nonce = payload.redirect_uri, payload.scope, data.get("nonce")
        self.code_challenge, self.code_challenge_method = data.get("code_challenge"), data.get("code_challenge_method")

    def get_redirect_uri(self) -> Any:
        return self.redirect_uri

    def get_scope(self) -> Any:
        return self.scope

    def get_nonce(self) -> Any:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code: str, request: Any) -> None:
        State.codes[code] = Code(code, request.user, request.payload)

    def query_authorization_code(self, code: str, client: Any) -> Any:
        return State.codes.get(code)

    def delete_authorization_code(self, authorization_code: Any) -> None:
        State.codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code: Any) -> Any:
        return authorization_code.user


class OpenId(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def resolve_client_private_key(self, client: Any) -> Any:
        return State.key

    def get_client_algorithm(self, client: Any) -> str:
        return "RS256"

    def get_encode_header(self, client: Any) -> dict[str, str]:
        return {"alg": "RS256", "kid": str(State.key.kid)}

    def get_client_claims(self, client: Any) -> dict[str, Any]:
        return {"iss": ISSUER, "aud": [CLIENT]}

    def get_compatible_claims(self, request: Any) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": ISSUER, "aud": [CLIENT], "iat": now, "exp": now + 300}

    def generate_user_info(self, user: str, scope: str) -> UserInfo:
        return UserInfo(sub=user, sid=f"session of {user}")

    def encode_id_token(self, token: Any, request: Any) -> str:
        return spoiled(super().encode_id_token(token, request))


SPOILED: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no-nonce": {"nonce": None},
    "issuer": {"iss": "http://127.0.0.1:1"},
    "audience": {"aud": ["somebody else"]},
    "party": {"aud": [CLIENT, "another"], "azp": "another"},
    "expired": {"exp": int(time.time()) - 3600},
    "future": {"iat": int(time.time()) + 3600},
    "subject": {"sub": ""},
    "at_hash": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


def spoiled(token: str) -> str:
    """The token a mode makes of a good one."""
    _, body, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    header = {"kid": str(State.key.kid)}
    if State.mode in SPOILED:
        changed = {k: v for k, v in (claims | SPOILED[State.mode]).items() if v is not None}
        return jwt.encode({"alg": "RS256", **header}, changed, State.key)
    if State.mode == "none":
        return f"{_encoded(json.dumps({'alg': 'none', **header}).encode())}.{body}."
    if State.mode == "hs256":
        # The public key, which everybody has, as the secret of a signature.
        signed = f"{_encoded(json.dumps({'alg': 'HS256', **header}).encode())}.{body}"
        return f"{signed}.{_encoded(hmac.digest(State.key.as_pem(private=False), signed.encode(), 'sha256'))}"
    if State.mode == "forged":
        return jwt.encode({"alg": "RS256", **header}, claims, _key())
    return token


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class EndSession(EndSessionEndpoint):
    def get_server_jwks(self) -> KeySet:
        return KeySet([State.key])

    def end_session(self, end_session_request: Any) -> None:
        session.clear()


app = Flask("provider")
app.config.update(SECRET_KEY="the provider's own", SESSION_COOKIE_NAME="provider")
server = AuthorizationServer(app, lambda id: Client() if id == CLIENT else None, lambda token, request: None)
server.register_grant(CodeGrant, [OpenId(require_nonce=True), CodeChallenge(required=True)])
server.register_endpoint(EndSession)


@app.get("/.well-known/openid-configuration")
def discovery() -> Any:
    places = {"authorization": "authorize", "token": "token", "end_session": "end"}
    document = {f"{name}_endpoint": f"{ISSUER}/{place}" for name, place in places.items()}
    issuer = "http://127.0.0.1:1" if State.mode == "discovery" else ISSUER
    return jsonify({**document, "issuer": issuer, "jwks_uri": f"{ISSUER}/jwks.json"})


@app.get("/jwks.json")
def keys() -> Any:
    return jsonify(KeySet([State.key]).as_dict(private=False))


@app.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    grant = server.get_consent_grant(end_user=session.get("user"))
    if request.method == "POST" and request.form.get("password") == PASSWORD:
        session["user"] = request.form["user"] if request.form.get("answer") == "yes" else None
        return server.create_authorization_response(grant=grant, grant_user=session["user"])
    if session.get("user"):
        return server.create_authorization_response(grant=grant, grant_user=session["user"])
    return FORM


@app.post("/token")
def token() -> Any:
    if State.mode == "garbage":
        return "<html>no JSON</html>"
    if State.mode == "broken":
        return "", 500
    if State.mode == "huge":
        return "x" * 1_000_000
    if State.mode == "slow":
        time.sleep(3)
    return server.create_token_response()


@app.route("/end", methods=["GET", "POST"])
def end() -> Any:
    return server.create_endpoint_response("end_session") or "signed out"


@app.post("/test")
def test() -> Any:
    told = request.get_json()
    if "rotate" in told:
        State.key = _key()
    State.mode = told.get("mode", "")
    if "sign" in told:
        return jsonify(token=jwt.encode({"alg": "RS256", "kid": State.key.kid}, told["sign"], State.key))
    return jsonify(ok="")


if __name__ == "__main__":
    make_server("127.0.0.1", TOLD["port"], app, threaded=True).serve_forever()
