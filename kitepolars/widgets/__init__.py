"""The widgets of the notebook: live views and the subscription panel. Imported on use.

Each is made by a method of `kitepolars.Ticker` or from its class here. Views
are fed by one UI thread (`publisher`), controls post commands to another
(`commands`), and nothing here is ever called by the feed.
"""

from kitepolars.widgets.chart import Chart
from kitepolars.widgets.controls import Controls
from kitepolars.widgets.dashboard import Dashboard
from kitepolars.widgets.ladder import Ladder
from kitepolars.widgets.monitor import Monitor
from kitepolars.widgets.table import LiveTable

__all__ = ["Chart", "Controls", "Dashboard", "Ladder", "LiveTable", "Monitor"]
