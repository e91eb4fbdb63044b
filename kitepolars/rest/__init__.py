"""Owns what Kite answers over HTTP: login and history; on the caller's thread, blocking."""

from kitepolars.rest.history import historical
from kitepolars.rest.session import Session, credentials_from_env, generate_session, login_url

__all__ = ["Session", "credentials_from_env", "generate_session", "historical", "login_url"]
