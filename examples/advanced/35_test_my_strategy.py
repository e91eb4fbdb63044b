# %% [markdown]
# # How do I test my strategy against an exchange that misbehaves?
#
# *Advanced · 8 seconds · simulated*
#
# Uses: `SimulatedKite`, `SimulatedKite.abort`, `SimulatedKite.silence`, `SimulatedKite.reject`,
# `SimulatedKite.order_update`, `SimulatedKite.wait_for`, `SimulatedKite.step`,
# `SimulatedKite.requests`, `SimulatedKite.subscribed`, `SimulatedKite.accept`,
# `SimulatedKite.close`, `SimulatedKite.flap`, `SimulatedKite.send`, `SimulatedKite.port`,
# `SimulatedKite.pause_market`, `SimulatedKite.resume_market`, `SimulatedKite.last_values`,
# `SimulatedKite.packets_sent`, `SimulatedKite.instruments`, `SimulatedKite.credentials`,
# `SimulatedKite.is_running`, `SimulatedKite.connections`, `ReceivedRequest`, `Handshake`,
# `ConnectionRecord`, `Ticker`, `AuthenticationError`, `Mode`, `ReconnectPolicy`, `OrderUpdate`,
# `Ticker.on_batch`, `Ticker.on_order`
#
# The package includes a simulated exchange. It ticks when the test says so, fails on command and
# records every request: a test needs no sleep and no mock. `pytest` collects the functions below;
# here they are called one after another.

# %%
import threading

import polars as pl

import kitepolars as kp
from kitepolars.sim import ConnectionRecord, Handshake, ReceivedRequest, SimulatedKite

QUICK = kp.ReconnectPolicy(initial_delay=0.1, max_delay=0.2, silence=0.5)


class Momentum:
    """The strategy: hold a share while its price is above its average since the start."""

    def __init__(self, ticker: kp.Ticker, symbol: str) -> None:
        self.position = 0
        self.filled = 0
        self.prices: list[float] = []
        self.seen = threading.Event()
        ticker.on_batch(self.trade)
        ticker.on_order(self.fill)
        ticker.subscribe([symbol], mode="full")

    def trade(self, batch: pl.DataFrame) -> None:
        """Decide on the fresh ticks of a batch."""
        self.prices += batch.filter(~pl.col("is_snapshot"))["last_price"].to_list()
        if self.prices:
            self.position = int(self.prices[-1] > sum(self.prices) / len(self.prices))
        self.seen.set()

    def fill(self, update: kp.OrderUpdate) -> None:
        """Count what was bought."""
        if update.data["status"] == "COMPLETE":
            self.filled += update.data["filled_quantity"]


def connected(exchange: SimulatedKite) -> kp.Ticker:
    """Return a ticker on an exchange of a test."""
    return kp.Ticker(
        "an_api_key",
        "a_token",
        url=exchange.url,
        instruments=exchange.instruments_csv(),
        reconnect=QUICK,
    )


# %% [markdown]
# ## It decides on fresh ticks only


# %%
def test_a_cached_snapshot_is_no_price() -> None:
    """The first packet is the exchange's cached value."""
    with SimulatedKite(rate=0) as exchange, connected(exchange) as ticker:
        strategy = Momentum(ticker, "NSE:INFY")
        assert ticker.wait(rows=1, timeout=10)
        assert strategy.seen.wait(10)
        assert strategy.prices == []
        strategy.seen.clear()
        exchange.step()
        assert strategy.seen.wait(10)
        assert len(strategy.prices) == 1


def test_it_asks_for_one_share_in_full_mode() -> None:
    """What the exchange was asked is the proof."""
    with SimulatedKite(rate=0) as exchange, connected(exchange) as ticker:
        Momentum(ticker, "NSE:INFY")
        assert exchange.wait_for(lambda e: e.subscribed().get(408065) is kp.Mode.FULL)
        requests: list[ReceivedRequest] = exchange.requests
        assert [request.action for request in requests] == ["subscribe", "mode"]
        assert requests[1].mode is kp.Mode.FULL


# %% [markdown]
# ## It survives the exchange's bad days


# %%
def test_it_goes_on_after_a_cut_and_a_silence() -> None:
    """Subscriptions come back by themselves."""
    with SimulatedKite(rate=0) as exchange, connected(exchange) as ticker:
        strategy = Momentum(ticker, "NSE:INFY")
        assert ticker.wait(rows=1, timeout=10)
        exchange.abort()
        assert exchange.wait_for(lambda e: len(e.connections) == 2)
        exchange.silence()
        assert exchange.wait_for(lambda e: len(e.connections) == 3)
        last: ConnectionRecord = exchange.connections[-1]
        assert last.api_key == "an_api_key"
        assert exchange.wait_for(lambda e: e.connections[-1].subscriptions)
        held = ticker.frame().height
        exchange.step()
        assert ticker.wait(rows=held + 1, timeout=10)
        assert strategy.position in {0, 1}


def test_it_survives_everything_in_a_row() -> None:
    """Closes, failed handshakes, nonsense: each once, then all is as it was."""
    with SimulatedKite(rate=20) as exchange, connected(exchange) as ticker:
        ticker.subscribe(["NSE:INFY"], mode="full")
        assert ticker.wait(rows=1, timeout=10)
        exchange.close(code=1001, reason="maintenance")
        assert exchange.wait_for(lambda e: len(e.connections) == 2)
        exchange.flap(2)  # the next two connections end right after the handshake
        exchange.abort()
        assert exchange.wait_for(lambda e: len(e.connections) == 5)
        exchange.reject(503)
        exchange.abort()
        assert exchange.wait_for(lambda e: e.handshakes[-1].status == 503)
        exchange.accept()
        assert exchange.wait_for(lambda e: e.subscribed())
        exchange.send(b"no packet is like this")
        assert ticker.wait(until=lambda t: "rejected" in t.events()["kind"].to_list(), timeout=10)
        held = ticker.frame().height
        assert ticker.wait(rows=held + 5, timeout=10)


def test_what_the_exchange_knows_is_what_the_ticker_has() -> None:
    """The last packet's integers are the last row's prices, in paise."""
    with SimulatedKite(rate=20) as exchange:
        assert exchange.is_running
        assert str(exchange.port) in exchange.url
        key, token = exchange.credentials
        names = exchange.instruments_csv()
        assert len(exchange.instruments) == names.count(b"\n") - 1
        with kp.Ticker(key, token, url=exchange.url, instruments=names) as ticker:
            ticker.subscribe(["NSE:INFY"], mode="full")
            assert ticker.wait(rows=5, timeout=10)
            exchange.pause_market()
            assert ticker.wait(until=lambda t: t.stats().ticks == exchange.packets_sent)
            paise = exchange.last_values(408065)["last_price"]
            assert ticker.latest()["last_price"].to_list() == [paise / 100]
            exchange.resume_market()
            assert ticker.wait(rows=ticker.frame().height + 1, timeout=10)


def test_a_refused_token_is_tried_once() -> None:
    """Kite counts refused logins: a loop of them locks an account."""
    with SimulatedKite() as exchange:
        exchange.reject(403)
        try:
            connected(exchange).start()
        except kp.AuthenticationError:
            pass
        else:
            raise AssertionError("it should have been refused")
        refused: list[Handshake] = exchange.handshakes
        assert [handshake.status for handshake in refused] == [403]


def test_a_fill_is_counted_once() -> None:
    """Each connection delivers each update; the strategy sees one."""
    with SimulatedKite(rate=0) as exchange, connected(exchange) as ticker:
        strategy = Momentum(ticker, "NSE:INFY")
        assert ticker.wait(rows=1, timeout=10)
        for _ in range(2):
            exchange.order_update(
                order_id="1", status="COMPLETE", filled_quantity=10, guid="same", quantity=10
            )
        assert ticker.wait(until=lambda _: strategy.filled, timeout=10)
        assert strategy.filled == 10
        assert ticker.orders().height == 1


# %%
tests = [test for name, test in sorted(globals().items()) if name.startswith("test_")]
for test in tests:
    test()
    print("passed:", test.__name__.removeprefix("test_").replace("_", " "))
assert len(tests) == 7
