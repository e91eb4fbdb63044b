"""Names, real tokens and prices of what the simulated exchanges list. Pure data.

The exchange tokens of the named stocks and indices are the real ones, so that a token known from
Kite means the same instrument here. Prices are plausible previous closes in rupees.
`sim.instruments` generates the rest of the market.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Stock(NamedTuple):
    """A named stock: NSE exchange token, close in rupees, lot size of its futures."""

    symbol: str
    name: str
    exchange_token: int
    close: float
    lot_size: int
    bse_code: int = 0


STOCKS: Final = (
    Stock("INFY", "INFOSYS", 1594, 1567.80, 400, 500209),
    Stock("RELIANCE", "RELIANCE INDUSTRIES", 2885, 1412.60, 500, 500325),
    Stock("HDFCBANK", "HDFC BANK", 1333, 1003.40, 550, 500180),
    Stock("ICICIBANK", "ICICI BANK", 4963, 1375.20, 700, 532174),
    Stock("TCS", "TATA CONSULTANCY SERV LT", 11536, 3081.50, 175, 532540),
    Stock("SBIN", "STATE BANK OF INDIA", 3045, 951.15, 750, 500112),
    Stock("BHARTIARTL", "BHARTI AIRTEL", 10604, 2074.30, 475, 532454),
    Stock("ITC", "ITC", 1660, 404.90, 1600, 500875),
    Stock("LT", "LARSEN & TOUBRO", 11483, 3921.00, 175, 500510),
    Stock("KOTAKBANK", "KOTAK MAHINDRA BANK", 1922, 2094.70, 400, 500247),
    Stock("AXISBANK", "AXIS BANK", 5900, 1256.10, 625, 532215),
    Stock("HINDUNILVR", "HINDUSTAN UNILEVER", 1394, 2433.60, 300, 500696),
    Stock("BAJFINANCE", "BAJAJ FINANCE", 317, 1018.20, 750, 500034),
    Stock("MARUTI", "MARUTI SUZUKI INDIA", 10999, 15842.00, 50, 532500),
    Stock("M&M", "MAHINDRA & MAHINDRA", 2031, 3721.50, 200, 500520),
    Stock("SUNPHARMA", "SUN PHARMACEUTICAL IND L", 3351, 1762.40, 350, 524715),
    Stock("NTPC", "NTPC", 11630, 328.45, 1500, 532555),
    Stock("TITAN", "TITAN COMPANY", 3506, 3874.20, 175, 500114),
    Stock("ULTRACEMCO", "ULTRATECH CEMENT", 11532, 11764.00, 50, 532538),
    Stock("ASIANPAINT", "ASIAN PAINTS", 236, 2881.70, 250, 500820),
    Stock("TATAMOTORS", "TATA MOTORS", 3456, 362.75, 800, 500570),
    Stock("TATASTEEL", "TATA STEEL", 3499, 171.62, 5500, 500470),
    Stock("WIPRO", "WIPRO", 3787, 244.85, 3000, 507685),
    Stock("HCLTECH", "HCL TECHNOLOGIES", 7229, 1608.90, 350, 532281),
    Stock("TECHM", "TECH MAHINDRA", 13538, 1461.30, 600, 532755),
    Stock("POWERGRID", "POWER GRID CORP. LTD.", 14977, 276.35, 1900, 532898),
    Stock("ONGC", "OIL AND NATURAL GAS CORP.", 2475, 246.92, 2250, 500312),
    Stock("COALINDIA", "COAL INDIA", 20374, 378.55, 1350, 533278),
    Stock("JSWSTEEL", "JSW STEEL", 11723, 1148.60, 675, 500228),
    Stock("HINDALCO", "HINDALCO INDUSTRIES", 1363, 777.65, 700, 500440),
    Stock("GRASIM", "GRASIM INDUSTRIES", 1232, 2722.40, 250, 500300),
    Stock("ADANIENT", "ADANI ENTERPRISES", 25, 2423.80, 300, 512599),
    Stock("ADANIPORTS", "ADANI PORT & SEZ", 15083, 1490.20, 475, 532921),
    Stock("BAJAJFINSV", "BAJAJ FINSERV", 16675, 2061.50, 250, 532978),
    Stock("BAJAJ-AUTO", "BAJAJ AUTO", 16669, 8873.00, 75, 532977),
    Stock("EICHERMOT", "EICHER MOTORS", 910, 7171.50, 100, 505200),
    Stock("HEROMOTOCO", "HERO MOTOCORP", 1348, 5895.00, 150, 500182),
    Stock("NESTLEIND", "NESTLE INDIA", 17963, 1267.10, 500, 500790),
    Stock("BRITANNIA", "BRITANNIA INDUSTRIES", 547, 5842.50, 125, 500825),
    Stock("TATACONSUM", "TATA CONSUMER PRODUCT", 3432, 1177.20, 550, 500800),
    Stock("CIPLA", "CIPLA", 694, 1512.40, 375, 500087),
    Stock("DRREDDY", "DR. REDDY S LABORATORIES", 881, 1243.60, 625, 500124),
    Stock("APOLLOHOSP", "APOLLO HOSPITALS ENTER. L", 157, 7412.00, 125, 508869),
    Stock("DIVISLAB", "DIVI S LABORATORIES", 10940, 6457.50, 100, 532488),
    Stock("INDUSINDBK", "INDUSIND BANK", 5258, 842.15, 700, 532187),
    Stock("SBILIFE", "SBI LIFE INSURANCE CO", 21808, 2012.30, 375, 540719),
    Stock("HDFCLIFE", "HDFC LIFE INS CO", 467, 763.80, 1100, 540777),
    Stock("SHRIRAMFIN", "SHRIRAM FINANCE", 4306, 823.45, 825, 511218),
    Stock("TRENT", "TRENT", 1964, 4391.50, 100, 500251),
    Stock("BEL", "BHARAT ELECTRONICS", 383, 417.30, 1425, 500049),
    Stock("ACC", "ACC", 22, 1861.90, 300, 500410),
    Stock("BPCL", "BHARAT PETROLEUM CORP LT", 526, 371.40, 1975, 500547),
    Stock("IOC", "INDIAN OIL CORP", 1624, 171.83, 4875, 530965),
    Stock("GAIL", "GAIL (INDIA)", 4717, 183.26, 3150, 532155),
    Stock("VEDL", "VEDANTA", 3063, 509.35, 1150, 500295),
    Stock("PNB", "PUNJAB NATIONAL BANK", 10666, 124.11, 8000, 532461),
    Stock("BANKBARODA", "BANK OF BARODA", 4668, 290.55, 2925, 532134),
    Stock("IDFCFIRSTB", "IDFC FIRST BANK", 11184, 80.77, 9275, 539437),
    Stock("FEDERALBNK", "FEDERAL BANK", 1023, 247.12, 5000, 500469),
    Stock("AUBANK", "AU SMALL FINANCE BANK", 21238, 922.80, 1000, 540611),
)
"""The named stocks; each has futures and options."""

_NIFTY: Final = tuple(stock.symbol for stock in STOCKS[:50])
_BANKS: Final = (
    "HDFCBANK",
    "ICICIBANK",
    "SBIN",
    "KOTAKBANK",
    "AXISBANK",
    "INDUSINDBK",
    "PNB",
    "BANKBARODA",
    "IDFCFIRSTB",
    "FEDERALBNK",
    "AUBANK",
)
_FINANCE: Final = (*_BANKS[:5], "BAJFINANCE", "BAJAJFINSV", "SBILIFE", "HDFCLIFE", "SHRIRAMFIN")
_IT: Final = ("INFY", "TCS", "HCLTECH", "WIPRO", "TECHM")
_AUTO: Final = ("MARUTI", "M&M", "TATAMOTORS", "BAJAJ-AUTO", "EICHERMOT", "HEROMOTOCO")
_FMCG: Final = ("ITC", "HINDUNILVR", "NESTLEIND", "BRITANNIA", "TATACONSUM")
_METAL: Final = ("TATASTEEL", "JSWSTEEL", "HINDALCO", "VEDL", "ADANIENT")
_PHARMA: Final = ("SUNPHARMA", "CIPLA", "DRREDDY", "DIVISLAB")
_ENERGY: Final = ("RELIANCE", "NTPC", "POWERGRID", "ONGC", "COALINDIA", "BPCL", "IOC", "GAIL")


class Index(NamedTuple):
    """An index: exchange token in the segment INDICES, close, members.

    An index without members moves independently. With a ``root``, futures and options on it are
    listed under that name.
    """

    symbol: str
    exchange_token: int
    close: float
    members: tuple[str, ...] = ()
    exchange: str = "NSE"
    root: str = ""
    option_step: float = 0.0
    lot_size: int = 0
    weekly: bool = False


INDICES: Final = (
    Index("NIFTY 50", 1001, 26068.15, _NIFTY, "NSE", "NIFTY", 50, 75, weekly=True),
    Index("NIFTY BANK", 1016, 58867.70, _BANKS, "NSE", "BANKNIFTY", 100, 35),
    Index("NIFTY FIN SERVICE", 1007, 27402.85, _FINANCE, "NSE", "FINNIFTY", 50, 65),
    Index("NIFTY MID SELECT", 1125, 13871.30, _NIFTY[25:], "NSE", "MIDCPNIFTY", 25, 140),
    Index("NIFTY NEXT 50", 1058, 69413.75, _NIFTY[30:], "NSE", "NIFTYNXT50", 100, 25),
    Index("SENSEX", 1, 85231.92, _NIFTY[:30], "BSE", "SENSEX", 100, 20, weekly=True),
    Index("BANKEX", 1072, 65932.40, _BANKS, "BSE", "BANKEX", 100, 30),
    Index("INDIA VIX", 1035, 13.63),
    Index("NIFTY IT", 1015, 36974.60, _IT),
    Index("NIFTY 100", 1018, 26633.25, _NIFTY),
    Index("NIFTY REALTY", 1020, 908.40),
    Index("NIFTY ENERGY", 1022, 35618.90, _ENERGY),
    Index("NIFTY FMCG", 1023, 55497.15, _FMCG),
    Index("NIFTY PHARMA", 1025, 22637.45, _PHARMA),
    Index("NIFTY PSU BANK", 1027, 8489.35, ("SBIN", "PNB", "BANKBARODA")),
    Index("NIFTY AUTO", 1029, 27366.20, _AUTO),
    Index("NIFTY METAL", 1030, 10230.75, _METAL),
    Index("NIFTY MEDIA", 1031, 1474.30),
    Index("NIFTY 500", 1047, 23895.10, _NIFTY),
)
"""The indices, with their real tokens: 256265 is NIFTY 50."""


class ContractRoot(NamedTuple):
    """A currency pair or a commodity: monthly futures, and options if it has strikes."""

    exchange: str
    root: str
    name: str
    close: float
    tick_size: float
    volatility: float
    months: int = 4
    option_step: float = 0.0
    strikes: int = 0


CONTRACTS: Final = (
    ContractRoot("CDS", "USDINR", "USDINR", 88.7075, 0.0025, 0.04, 12, 0.25, 41),
    ContractRoot("CDS", "EURINR", "EURINR", 102.455, 0.0025, 0.07, 4, 0.25, 21),
    ContractRoot("CDS", "GBPINR", "GBPINR", 116.2025, 0.0025, 0.08, 4, 0.25, 21),
    ContractRoot("CDS", "JPYINR", "JPYINR", 56.615, 0.0025, 0.09),
    ContractRoot("MCX", "CRUDEOIL", "CRUDEOIL", 5216.0, 1.0, 0.35, 6, 50, 61),
    ContractRoot("MCX", "NATURALGAS", "NATURALGAS", 412.3, 0.1, 0.55, 4, 5, 51),
    ContractRoot("MCX", "GOLD", "GOLD", 124191.0, 1.0, 0.16, 6, 500, 41),
    ContractRoot("MCX", "GOLDM", "GOLDM", 122846.0, 1.0, 0.16, 4, 500, 41),
    ContractRoot("MCX", "SILVER", "SILVER", 154151.0, 1.0, 0.28, 4, 1000, 41),
    ContractRoot("MCX", "SILVERM", "SILVERM", 155021.0, 1.0, 0.28),
    ContractRoot("MCX", "COPPER", "COPPER", 1003.55, 0.05, 0.2),
    ContractRoot("MCX", "ZINC", "ZINC", 301.4, 0.05, 0.22),
    ContractRoot("MCX", "ALUMINIUM", "ALUMINIUM", 267.25, 0.05, 0.2),
    ContractRoot("MCX", "LEAD", "LEAD", 180.95, 0.05, 0.18),
    ContractRoot("NCO", "BRCRUDEOIL", "BRENT CRUDE OIL", 5588.0, 1.0, 0.33),
    ContractRoot("NCO", "GOLD1G", "GOLD 1 GRAM", 12448.0, 1.0, 0.16),
    ContractRoot("NCO", "SILVER", "SILVER", 154168.0, 1.0, 0.28, 4, 1000, 21),
)
"""Currency pairs and commodities; prices in rupees, volatility per year."""

NAME_SYLLABLE: Final = ("BDGHJKLMNPRSTV", "AEIOU", "LNRS")
NAME_MIDDLES: Final = ("AGRO", "CHEM", "FIN", "INFRA")
NAME_ENDS: Final = ("IND", "TECH")
"""Parts of the symbols of generated companies, such as BALAGROIND: 280 × 4 × 2 of them."""

STOCK_COUNT: Final = 2_000
"""Shares on the NSE, named and generated."""

BSE_COUNT: Final = 2_000
"""Shares on the BSE, named and generated."""

GENERATED_WITH_DERIVATIVES: Final = 40
"""Generated shares with futures and options."""
