"""What the columns of frames mean, their units, and when they are null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Column:
    """What a column says."""

    meaning: str
    unit: str = ""
    null: str = "never"

    @property
    def text(self) -> str:
        """The meaning, and the unit where there is one."""
        return f"{self.meaning} ({self.unit})" if self.unit else self.meaning


SHARES: Final = "for indices"
MODE: Final = "the mode does not carry it"

COMMON: Final = {
    "received_at": Column("when this machine read the message", "IST, µs"),
    "exchange_timestamp": Column(
        "when the exchange sent the packet", "IST, s", MODE + "; an invalid time"
    ),
    "instrument_token": Column("Kite's number of the instrument"),
    "symbol": Column("`EXCHANGE:TRADINGSYMBOL`", "", "the token is not in the ticker's list"),
    "connection": Column("index of the connection"),
    "mode": Column("the packet's mode"),
    "is_snapshot": Column("whether it is Kite's cached value, not a fresh tick"),
    "last_price": Column("price of the last trade; of an index its value", "rupees"),
    "last_traded_quantity": Column("quantity of the last trade", "units", f"{MODE}; {SHARES}"),
    "average_traded_price": Column(
        "volume-weighted price of the day", "rupees", f"{MODE}; {SHARES}"
    ),
    "volume_traded": Column("traded today so far; cumulative", "units", f"{MODE}; {SHARES}"),
    "total_buy_quantity": Column(
        "quantity of all pending buy orders", "units", f"{MODE}; {SHARES}"
    ),
    "total_sell_quantity": Column(
        "quantity of all pending sell orders", "units", f"{MODE}; {SHARES}"
    ),
    "open": Column("the day's open", "rupees", MODE),
    "high": Column("the day's high so far", "rupees", MODE),
    "low": Column("the day's low so far", "rupees", MODE),
    "close": Column("the *previous* day's close", "rupees", MODE),
    "price_change": Column(
        "an index's change against the close", "rupees", f"{MODE}; not an index"
    ),
    "last_trade_time": Column("when it last traded", "IST, s", f"{MODE}; {SHARES}; never traded"),
    "oi": Column("open interest", "units", f"{MODE}; {SHARES}"),
    "oi_day_high": Column("highest open interest of the day", "units", f"{MODE}; {SHARES}"),
    "oi_day_low": Column("lowest open interest of the day", "units", f"{MODE}; {SHARES}"),
    **{
        f"{side}_{what}": Column(
            f"{text} of the five best {side}s, best first", unit, f"{MODE}; {SHARES}"
        )
        for side in ("bid", "ask")
        for what, unit, text in (
            ("price", "rupees", "prices"),
            ("quantity", "units", "quantities"),
            ("orders", "orders", "numbers of orders"),
        )
    },
    "change": Column("last price against the previous close", "%", "in mode ltp"),
    "range_position": Column(
        "position in the day's range: 0 at the low, 1 at the high",
        "0 to 1",
        "in mode ltp; no range yet",
    ),
    "staleness": Column("time since the tick arrived", "µs"),
}
"""The columns of ticks, and what `latest` adds."""

CANDLES: Final = {
    "start": Column("start of the bar", "IST"),
    "open": Column("first price", "rupees"),
    "high": Column("highest price", "rupees"),
    "low": Column("lowest price", "rupees"),
    "close": Column("last price", "rupees"),
    "volume": Column("traded in the bar", "units"),
    "ticks": Column("ticks in it", "", "from `historical`"),
    "oi": Column(
        "open interest at its end",
        "units",
        f"{SHARES}; without full mode; `historical` was not asked for it",
    ),
    "vwap": Column("volume-weighted price", "rupees", "no volume; from `historical`"),
    "is_partial": Column("whether the bar is still forming"),
}

DUMP: Final = {
    "exchange_token": Column("the exchange's number of the instrument"),
    "tradingsymbol": Column("its name on the exchange"),
    "name": Column("the company, or the underlying of a contract", "", "the dump has none"),
    "last_price": Column("as in the dump; 0 except in Kite's own", "rupees"),
    "expiry": Column("day of expiry", "", "not a contract; an invalid date"),
    "strike": Column("of an option; else 0", "rupees"),
    "tick_size": Column("smallest price step", "rupees"),
    "lot_size": Column("units per lot", "units"),
    "instrument_type": Column("`EQ`, `FUT`, `CE`, `PE`"),
    "segment": Column("such as `NSE`, `NFO-OPT`, `INDICES`"),
    "exchange": Column("such as `NSE`, `NFO`, `MCX`"),
    "symbol": Column("`EXCHANGE:TRADINGSYMBOL`, to join ticks on"),
}


def _of_side(side: str) -> dict[str, Column]:
    """Return the columns of calls or of puts."""
    no_tick, no_answer = "no tick yet", "no usable quote, or no solution"
    return {
        f"{side}_{name}": column
        for name, column in {
            "token": Column(f"the {side}'s token", "", f"no {side} is listed"),
            "symbol": Column(f"the {side}'s name", "", f"no {side} is listed"),
            "last_price": Column("last price", "rupees", no_tick),
            "bid": Column("best bid", "rupees", f"{no_tick}; no bid"),
            "ask": Column("best ask", "rupees", f"{no_tick}; no offer"),
            "volume": Column("traded today", "units", no_tick),
            "oi": Column("open interest", "units", no_tick),
            "iv": Column("annualised implied volatility", "fraction", no_answer),
            "delta": Column("price per change of the forward", "rupees per rupee", no_answer),
            "gamma": Column("delta per change of the forward", "per rupee", no_answer),
            "theta": Column("price per calendar day", "rupees a day", no_answer),
            "vega": Column("price per point of volatility", "rupees a point", no_answer),
        }.items()
    }


CHAIN: Final = {
    "underlying": Column("such as `NIFTY`"),
    "expiry": Column("day of expiry"),
    "strike": Column("strike", "rupees"),
    "lot_size": Column("units per lot", "units"),
    "forward": Column(
        "forward price of the underlying at expiry",
        "rupees",
        "no pair at the money is quoted on both sides",
    ),
    "years": Column("time until the contracts stop trading", "years"),
    **_of_side("call"),
    **_of_side("put"),
}

ORDERS: Final = {
    "received_at": Column("when the update first arrived", "IST, µs"),
    "order_timestamp": Column("when the order was placed", "IST", "absent or invalid"),
    "exchange_update_timestamp": Column(
        "when the exchange last changed it", "IST", "absent or invalid"
    ),
    "exchange_timestamp": Column("when the exchange accepted it", "IST", "absent or invalid"),
    "instrument_token": Column("Kite's number of the instrument", "", "absent"),
    "other": Column("fields without a column, as JSON", "", "there are none"),
    **{
        name: Column(text, "", "absent")
        for name, text in {
            "order_id": "Kite's number of the order",
            "exchange_order_id": "the exchange's number",
            "parent_order_id": "the order that it belongs to",
            "account_id": "the client's account",
            "placed_by": "who placed it",
            "status": "such as `OPEN`, `COMPLETE`, `REJECTED`",
            "status_message": "reason for the status",
            "exchange": "such as `NSE`",
            "tradingsymbol": "name on the exchange",
            "variety": "such as `regular`, `amo`",
            "order_type": "such as `MARKET`, `LIMIT`",
            "transaction_type": "`BUY` or `SELL`",
            "validity": "such as `DAY`, `IOC`",
            "product": "such as `CNC`, `MIS`",
            "tag": "as given when it was placed",
            "guid": "id of this update",
        }.items()
    },
    **{
        name: Column(text, "units", "absent")
        for name, text in {
            "quantity": "ordered",
            "disclosed_quantity": "shown to the market",
            "filled_quantity": "filled",
            "pending_quantity": "still open",
            "cancelled_quantity": "cancelled",
            "unfilled_quantity": "not filled",
        }.items()
    },
    "price": Column("limit price", "rupees", "absent"),
    "trigger_price": Column("trigger price", "rupees", "absent"),
    "average_price": Column("average of the fills", "rupees", "absent"),
    "market_protection": Column("protection of a market order", "%", "absent"),
}
