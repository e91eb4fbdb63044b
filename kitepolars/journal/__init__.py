"""A recording on disk: what a source delivered, written down as it came and read again."""
