"""Columns → DataFrames: NumPy and Polars, no asyncio."""

import numpy as np
import polars as pl

# Where Polars was imported before NumPy it holds a proxy, which the first use replaces. Two threads
# that both come first fail with a TypeError, so that use is here, under the lock of the import.
pl.Series(np.empty(0))
