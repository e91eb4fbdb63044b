"""A Kite for examples that need an account: feed, login, instruments and history on loopback.

`StandIn` serves all of it. `redirect` makes the package's defaults lead there in a process whose
environment says so; the examples and the documentation's pages run unchanged.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from rest.stand_in import Answer, KiteApi, Request

IST: Final = ZoneInfo("Asia/Kolkata")
FEED, API = "KITEPOLARS_TEST_FEED", "KITEPOLARS_TEST_API"
"""Environment variables that hold the stand-in's addresses."""

STEP: Final = {"minute": 60, "5minute": 300, "15minute": 900, "day": 86_400}
OPENS, CLOSES = dt.time(9, 15), dt.time(15, 30)


def last_session(at: dt.time) -> dt.datetime:
    """Return a time of the last weekday before today, when markets were open whatever the hour."""
    now = dt.datetime.now(IST)
    days = {0: 3, 6: 2}.get(now.weekday(), 1)
    return dt.datetime.combine(now - dt.timedelta(days), at, IST)


class StandIn:
    """Serves an account on loopback; the exchange's clock runs from eleven of the last session."""

    def __init__(self) -> None:
        behind = time.time() - last_session(dt.time(11)).timestamp()
        self.exchange = SimulatedKite(rate=5, connections=200, clock=lambda: time.time() - behind)
        self.api = KiteApi()
        self.api.answer = self._answer

    def __enter__(self) -> Self:
        self.exchange.start()
        self._thread = threading.Thread(
            target=self.api.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.exchange.stop()
        self.api.shutdown()
        self._thread.join()
        self.api.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process whose account is this one."""
        return {
            FEED: self.exchange.url,
            API: self.api.url,
            "KITE_ROOT": self.api.url,
            "KITE_API_KEY": "an_api_key",
            "KITE_API_SECRET": "an_api_secret",
            "KITE_ACCESS_TOKEN": "a_token_of_today",
            "KITE_REDIRECTED_TO": "http://127.0.0.1/?request_token=once&action=login",
        }

    def _answer(self, request: Request) -> Answer:
        match request.path.strip("/").split("/"):
            case ["session", "token"]:
                now = dt.datetime.now(IST)
                return Answer.success(
                    {
                        "user_id": "AB1234",
                        "user_name": "A Trader",
                        "access_token": "a_token_of_today",
                        "login_time": f"{now:%Y-%m-%d %H:%M:%S}",
                        "exchanges": ["NSE", "NFO"],
                    }
                )
            case ["instruments"]:
                return Answer(body=self.exchange.instruments_csv(), content_type="text/csv")
            case ["instruments", exchange]:
                return Answer(body=self._listed_on(exchange), content_type="text/csv")
            case ["instruments", "historical", token, interval]:
                return Answer.success({"candles": _candles(int(token), interval, request.params)})
        return Answer.error(404, "GeneralException", "Route not found")

    def _listed_on(self, exchange: str) -> bytes:
        header, *rows = self.exchange.instruments_csv().splitlines(keepends=True)
        ending = f",{exchange}\n".encode()
        return b"".join([header, *(row for row in rows if row.endswith(ending))])


def _candles(token: int, interval: str, params: dict[str, str]) -> list[list[Any]]:
    """Return made-up candles of the sessions between two times, always the same ones."""
    start, end = (
        dt.datetime.fromisoformat(params[name]).replace(tzinfo=IST) for name in ("from", "to")
    )
    rows: list[list[Any]] = []
    step = dt.timedelta(seconds=STEP[interval])
    moment = dt.datetime.combine(start, dt.time(0) if interval == "day" else OPENS, IST)
    while moment <= end:
        in_session = interval == "day" or OPENS <= moment.time() < CLOSES
        if moment.weekday() < 5 and in_session and moment >= start:
            minute = int(moment.timestamp()) // 60
            price = 1_500 + (token + minute * 7919) % 400 / 20
            high, low = price + minute % 5 / 4, price - minute % 7 / 4
            row = [f"{moment:%Y-%m-%dT%H:%M:%S%z}", price, high, low, price, 100 + minute % 900]
            rows.append([*row, 0] if params.get("oi") == "1" else row)
        moment += step
    return rows


def redirect() -> None:
    """Let the package's defaults lead to the stand-in that the environment names, if it does."""
    if FEED not in os.environ:
        return
    api = os.environ[API]
    defaults: tuple[tuple[Any, str], ...] = (
        (kp.Ticker.__init__, os.environ[FEED]),
        (kp.Ticker.from_env, os.environ[FEED]),
        (kp.Ticker.from_kite, os.environ[FEED]),
        (kp.Instruments.fetch, f"{api}/instruments"),
        (kp.historical, api),
        (kp.generate_session, api),
    )
    for function, url in defaults:
        assert function.__kwdefaults__ is not None
        function.__kwdefaults__["url"] = url
