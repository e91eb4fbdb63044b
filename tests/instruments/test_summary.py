"""How a list of instruments shows itself."""

from kitepolars.instruments import Instruments

ROWS = [
    "408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE",
    "128053508,500209,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,BSE,BSE",
    "256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE",
    "738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05,1,EQ,NSE,NSE",
    "12073986,47164,NIFTY18JAN23500CE,NIFTY,2528.4,2018-01-25,23500.0,0.05,40,CE,NFO-OPT,NFO",
]


def test_html_counts_the_segments_and_is_escaped() -> None:
    evil = ROWS[0].replace("NSE,NSE", "<b>,NSE")
    html = Instruments.read_csv(dump_of(evil, *ROWS[1:]))._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "2018-01-25" in html
    assert "<strong>Instruments</strong> · 5<" in html
