"""What a recording becomes: frames, tickers on its own time, tickers that follow it."""
