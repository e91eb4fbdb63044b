"""Owns what options are worth: Black-76 prices, volatilities, greeks, chains; on any thread."""

from kitepolars.options.black76 import Greeks, greeks, implied_volatility, price
from kitepolars.options.chain import join_chain

__all__ = ["Greeks", "greeks", "implied_volatility", "join_chain", "price"]
