"""What options are worth: Black-76 prices, volatilities and greeks, live chains. Any thread."""

from kitepolars.options.black76 import Greeks, greeks, implied_volatility, price
from kitepolars.options.chain import MAX_AGE, join_chain
from kitepolars.options.listing import ListedChain, listed_chain

__all__ = [
    "MAX_AGE",
    "Greeks",
    "ListedChain",
    "greeks",
    "implied_volatility",
    "join_chain",
    "listed_chain",
    "price",
]
