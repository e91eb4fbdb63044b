"""Kite's wire format: bytes ↔ arrays. No asyncio, no Polars, no clock."""
