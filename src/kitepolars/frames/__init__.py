"""Columns → DataFrames. No asyncio."""
