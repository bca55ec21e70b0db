"""Signing in with OpenID Connect: authorization code flow with PKCE, and logout from both sides."""
