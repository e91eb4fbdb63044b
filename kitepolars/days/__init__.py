"""Recorded days as a table of Parquet files: published, put in order, and queried."""
