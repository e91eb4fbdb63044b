"""kitepolars."""
