"""What options are worth: Black-76 prices, volatilities and greeks, live chains. Any thread."""

from kitepolars.options.black76 import Greeks, greeks, implied_volatility, price
from kitepolars.options.chain import MAX_AGE, join_chain
from kitepolars.options.listing import ChainListings, ListedChain

__all__ = [
    "MAX_AGE",
    "ChainListings",
    "Greeks",
    "ListedChain",
    "greeks",
    "implied_volatility",
    "join_chain",
    "price",
]
