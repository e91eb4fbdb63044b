"""Runs at the start of each kernel of the documentation: the account is the one on loopback."""

from examples.account import redirect

redirect()
del redirect
