# %% [markdown]
# # How do I run a ticker for days, through the expiry of its token?
#
# *Advanced · 5 seconds · simulated*
#
# Uses: `Ticker`, `Account`, `ReconnectPolicy`, `Retention`, `NotRunning`, `SimulatedKite`,
# `SimulatedKite.start`, `SimulatedKite.stop`, `SimulatedKite.url`,
# `SimulatedKite.instruments_csv`, `SimulatedKite.expire_tokens`, `SimulatedKite.handshakes`,
# `Ticker.start`, `Ticker.set_access_token`, `Ticker.connections`, `Ticker.events`, `Ticker.gaps`,
# `Ticker.wait`, `Ticker.stop`
#
# Access tokens expire at about 06:00 IST. The ticker does not retry a refused token: it reports
# it, waits, and resumes all subscriptions with a new one. This service logs in again by itself;
# the exchange expires the token here, as Kite does each morning.

# %%
import threading

import polars as pl

import kitepolars as kp
from kitepolars.sim import SimulatedKite

exchange = SimulatedKite(rate=10)
exchange.start()


def todays_token(day: int) -> str:
    """Log in: `kp.login_url`, then `kp.generate_session`. Made up here."""
    return f"the token of day {day}"


ticker = kp.Ticker(
    accounts=[kp.Account("main", "an_api_key", todays_token(1))],
    url=exchange.url,
    instruments=exchange.instruments_csv(),
    reconnect=kp.ReconnectPolicy(initial_delay=0.2, max_delay=5, silence=3),
    retention=kp.Retention(max_age=3_600),  # an hour in memory
    default_mode="full",
)
ticker.subscribe(["NSE:INFY", "NSE:SBIN", "NSE:NIFTY 50"])
ticker.start()
assert ticker.wait(rows=20, timeout=20)

# %% [markdown]
# ## The morning
#
# `expired` is a state of `connections()`. A service polls it, or receives the event by `on_event`.

# %%
exchange.expire_tokens()
exchange.abort()  # Kite closes the connections, too
assert ticker.wait(until=lambda t: "expired" in t.connections()["state"], timeout=20)
print(ticker.connections().select("connection", "state", "instruments", "reconnects"))

ticker.set_access_token(todays_token(2))
assert ticker.wait(
    until=lambda t: t.gaps().height and t.gaps()["ended_at"].null_count() == 0, timeout=20
)
print(ticker.connections().select("connection", "state", "instruments", "reconnects"))
print(ticker.gaps().select("started_at", "ended_at", "reason", "instruments"))

# %% [markdown]
# ## Stopping while it starts
#
# A service manager may stop the program at any moment. `stop` never waits longer than two
# seconds; a `start` in another thread then ends with `NotRunning`.

# %%
ticker.stop()
exchange.reject(503)  # the exchange is down: start() would wait for ten seconds
endings: list[str] = []
connecting = threading.Event()


def begin() -> None:
    """Start, and say how that ended."""
    connecting.set()
    try:
        ticker.start()
    except kp.NotRunning as error:
        endings.append(str(error))


starting = threading.Thread(target=begin)
starting.start()
connecting.wait()
assert exchange.wait_for(lambda e: e.handshakes[-1].status == 503, timeout=10)
ticker.stop()
starting.join(10)
exchange.stop()
print(endings)
with pl.Config(fmt_str_lengths=70, tbl_rows=20):
    print(ticker.events().select("kind", "detail"))

assert "expired" in ticker.events()["kind"]
assert len(endings) == 1
