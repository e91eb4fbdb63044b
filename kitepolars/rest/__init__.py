"""Kite's HTTP API: login and historical candles. Any thread; blocking."""

from kitepolars.rest.history import historical
from kitepolars.rest.session import Session, credentials_from_env, generate_session, login_url

__all__ = ["Session", "credentials_from_env", "generate_session", "historical", "login_url"]
