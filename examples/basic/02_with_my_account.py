# %% [markdown]
# # How do I receive ticks from my own account?
#
# *Basic · 5 seconds · account*
#
# Uses: `Ticker`, `Ticker.from_env`, `Instruments`, `Instruments.fetch`, `Ticker.start`,
# `Ticker.subscribe`, `Ticker.wait`, `Ticker.latest`, `Ticker.stop`, `AuthenticationError`,
# `ConfigError`, `ConnectionLost`, `KitePolarsError`
#
# Put the credentials into the environment or into a `.env` file beside the script, never into the
# script itself:
#
# ```text
# KITE_API_KEY=your_api_key
# KITE_ACCESS_TOKEN=the_token_of_todays_login
# ```
#
# Needs the extra `http`: `pip install 'kitepolars[http]'`.

# %%
import kitepolars as kp

WATCH_LIST = ["NSE:NIFTY 50", "NSE:INFY", "NSE:RELIANCE"]


def connect() -> kp.Ticker:
    """Return a running ticker, or explain why there is none."""
    try:
        instruments = kp.Instruments.fetch()  # downloaded once a day, then read from a file
        ticker = kp.Ticker.from_env(instruments=instruments, default_mode="full")
        ticker.subscribe(WATCH_LIST)
        return ticker.start()
    except kp.ConfigError as error:  # a variable is not set: the message names it
        raise SystemExit(f"Check your .env file: {error}") from None
    except kp.AuthenticationError as error:  # expired at about 06:00 IST; retrying is pointless
        raise SystemExit(f"Log in again: {error}") from None
    except kp.ConnectionLost as error:
        raise SystemExit(f"Is the network up? {error}") from None
    except kp.KitePolarsError as error:  # the root of all of them
        raise SystemExit(f"{type(error).__name__}: {error}") from None


# %% [markdown]
# Subscribing before `start` is fine: the subscription is made as soon as the connection opens.
# Outside market hours Kite sends one cached value per instrument, marked `is_snapshot`.

# %%
ticker = connect()
assert ticker.wait(until=lambda t: t.latest().height == len(WATCH_LIST), timeout=20)
latest = ticker.latest()
print(latest.select("symbol", "last_price", "change", "is_snapshot", "received_at"))
ticker.stop()

assert set(latest["symbol"].cast(str)) == set(WATCH_LIST)
