"""How a list of instruments shows itself."""

from __future__ import annotations

from kitepolars.instruments import Instruments
from kitepolars.instruments.dump import DUMP_SCHEMA

ROWS = (
    "408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,<b>,NSE",
    "128053508,500209,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,BSE,BSE",
    "738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05,1,EQ,NSE,NSE",
    "12073986,47164,NIFTY18JAN23500CE,NIFTY,2528.4,2018-01-25,23500.0,0.05,40,CE,NFO-OPT,NFO",
)
LISTED = Instruments.read_csv("\n".join([",".join(DUMP_SCHEMA), *ROWS]).encode())


def test_one_line_counts_the_exchanges() -> None:
    assert repr(LISTED) == "<Instruments: 4 (NSE 2, BSE 1, NFO 1)>"


def test_an_empty_list_shows_its_number() -> None:
    assert repr(Instruments.from_records([])) == "<Instruments: 0>"


def test_html_counts_the_segments() -> None:
    html = LISTED._repr_html_()
    assert "<strong>Instruments</strong> · 4<" in html
    assert "2018-01-25" in html


def test_html_is_escaped() -> None:
    html = LISTED._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
