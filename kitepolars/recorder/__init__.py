"""A process that holds the connections and writes a journal, and how others reach it.

Nothing here imports Polars, and `__main__` keeps the package's own `__init__` from doing so: the
process is small, and no notebook can hold it up.
"""
