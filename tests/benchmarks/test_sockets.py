from __future__ import annotations

import polars as pl
import pytest

import latency
import throughput
from firehose import Firehose, Workload
from kitepolars.frames.store import Retention
from messages import COUNTER
from patience import PATIENCE


@pytest.mark.parametrize("rate", [None, 30_000])
@pytest.mark.parametrize("retention", [None, Retention(max_rows=2_000)])
def test_all_that_is_sent_is_received(rate: float | None, retention: Retention | None) -> None:
    workload = Workload(seconds=0.3, rate=rate)
    found = throughput.run(workload, connections=2, retention=retention)
    assert found.ticks > 0
    assert found.ticks % workload.packets == 0
    assert found.rate > 0


def test_every_probe_is_found_both_ways() -> None:
    found = latency.run(seconds=0.4, rate=5_000)
    for quantiles in (found.asked, found.flushed):
        assert 0 < quantiles.p50 <= quantiles.p99 <= quantiles.worst


def test_the_last_packet_of_every_burst_is_found_both_ways() -> None:
    found = latency.run(seconds=0.4, rate=5_000, burst=3)
    for quantiles in (found.asked, found.flushed):
        assert 0 < quantiles.p50 <= quantiles.p99 <= quantiles.worst


def test_the_cost_of_a_callback_has_two_parts() -> None:
    cost = latency.callback_cost(rows=10, repeats=5)
    assert all(seconds > 0 for seconds in cost.values())


def test_the_load_of_a_callback_is_compared_with_none() -> None:
    load = latency.callback_load(seconds=0.2)
    assert load.keys() == {"without", "with"}
    assert all(share > 0 for share in load.values())


def test_bursts_are_sent_whole() -> None:
    workload = Workload(seconds=0.4, rate=10_000, packets=5, burst=20)
    bursts = workload.expected_probes(clients=2)
    with Firehose() as server, throughput.connected(server, 2) as ticker:
        server.begin(workload)
        sent = server.sent()
        assert sent == [bursts * 20 * 5] * 2
        assert ticker.wait(rows=sum(sent) + bursts, timeout=PATIENCE)


def test_a_busy_main_thread_works() -> None:
    assert latency.run(seconds=0.4, rate=5_000, busy=True).work > 0


def rows(numbers: list[int], connections: list[int]) -> pl.DataFrame:
    schema = {COUNTER: pl.UInt32, "connection": pl.UInt8}
    return pl.DataFrame({COUNTER: numbers, "connection": connections}, schema=schema)


def test_nothing_wrong_is_not_complained_about() -> None:
    throughput.check(rows([0, 0, 1, 1, 2], [0, 1, 0, 1, 1]), [2, 3])
    throughput.check(rows([0, 1], [2, 2]), [0, 2])
    throughput.check(rows([1, 1, 2], [0, 1, 1]), [2, 3], dropped=2)
    throughput.check(rows([1, 2], [1, 1]), [2, 3], dropped=3)


@pytest.mark.parametrize(
    ("numbers", "dropped"),
    [([0, 1], 0), ([0, 2, 1], 0), ([0, 1, 1], 0), ([0, 1, 3], 0), ([0, 1, 2], 1), ([2, 3, 4], 0)],
)
def test_what_is_lost_doubled_or_out_of_order_is_noticed(numbers: list[int], dropped: int) -> None:
    with pytest.raises(throughput.LostTicksError):
        throughput.check(rows(numbers, [0] * len(numbers)), [3], dropped)


def test_a_server_ends_with_its_block() -> None:
    with Firehose() as server:
        assert server.url.startswith("ws://127.0.0.1:")
        server.begin(Workload(seconds=0.01))
        assert server.sent() == []
