"""Conditions on ticks, candles and option chains, and what becomes of one that holds."""
