"""One question for each part of recorded ticks, asked here, in processes or on a Dask cluster."""
