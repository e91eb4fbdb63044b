"""The fixtures of these tests, and the way to the module beside them."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from patience import PATIENCE
from rest.stand_in import FakeTime, KiteApi


@pytest.fixture
def kite() -> Iterator[KiteApi]:
    with KiteApi() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()
