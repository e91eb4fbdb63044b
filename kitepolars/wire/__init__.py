"""Bytes ↔ arrays. Imports NumPy only: no asyncio, no Polars, no clock."""
