"""The widgets of the notebook: live views and the subscription panel. Imported on use.

Each is made by a method of `kitepolars.Ticker`, or from its class here. One thread publishes
the views, another runs what controls ask for (`threads`); the feed never calls anything here.
"""

from kitepolars.widgets.alerts import AlertsPanel
from kitepolars.widgets.chain import OptionChain
from kitepolars.widgets.chart import Chart
from kitepolars.widgets.controls import Controls
from kitepolars.widgets.dashboard import Dashboard
from kitepolars.widgets.ladder import Ladder
from kitepolars.widgets.monitor import Monitor
from kitepolars.widgets.table import LiveTable
from kitepolars.widgets.tape import DepthMap, TimeAndSales
from kitepolars.widgets.transport import Transport

__all__ = [
    "AlertsPanel",
    "Chart",
    "Controls",
    "Dashboard",
    "DepthMap",
    "Ladder",
    "LiveTable",
    "Monitor",
    "OptionChain",
    "TimeAndSales",
    "Transport",
]
