"""The planner alone: rules by example, and invariants under random histories."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kitepolars.errors import CapacityExceeded, UnknownInstrument
from kitepolars.feed.limits import Limits, instruments_per_opening
from kitepolars.feed.plan import Action, Command, Move, Plan, Planner
from kitepolars.wire.layouts import Mode

SMALL = Limits(connections=3, instruments_per_connection=10)


def opened_planner(accounts: int = 1, limits: Limits | None = None) -> Planner:
    """Return a planner whose connections are all open, as if all had been needed once."""
    planner = Planner(accounts, limits or Limits())
    for connection in planner.start().opens:
        planner.opened(connection)
    return planner


def subscribe(planner: Planner, tokens: range, mode: Mode = Mode.QUOTE) -> Plan:
    """Subscribe and let what is needed open."""
    plan = planner.subscribe(tokens, mode)
    for connection in plan.opens:
        planner.opened(connection)
    return plan


def loads(planner: Planner) -> list[int]:
    return [planner.load(connection) for connection in planner.needed]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [1]),
        (1_000, [1_000]),
        (1_001, [501, 500]),
        (2_001, [667, 667, 667]),
        (9_000, [3_000, 3_000, 3_000]),
    ],
)
def test_connections_open_as_they_are_needed(count: int, expected: list[int]) -> None:
    planner = opened_planner()
    subscribe(planner, range(count))
    assert loads(planner) == expected


def test_two_accounts_take_18_000() -> None:
    planner = opened_planner(accounts=2)
    assert planner.needed == (0, 3)
    plan = planner.subscribe(range(18_000), Mode.FULL)
    assert sorted(plan.opens) == [1, 2, 4, 5]
    assert loads(planner) == [3_000] * 6
    assert planner.available == 0


def test_growth_in_steps_stays_level() -> None:
    planner = opened_planner()
    for start in range(0, 9_000, 250):
        subscribe(planner, range(start, start + 250))
        assert max(loads(planner)) - min(loads(planner)) <= 1_000
    assert loads(planner) == [3_000] * 3


def test_subscribing_again_sends_nothing() -> None:
    planner = opened_planner()
    subscribe(planner, range(100), Mode.FULL)
    assert planner.subscribe(range(100), Mode.FULL) == Plan()


def test_subscribing_in_another_mode_changes_the_mode() -> None:
    planner = opened_planner()
    subscribe(planner, range(100), Mode.FULL)
    plan = planner.subscribe([5, 7, 7, 200], Mode.LTP)
    assert plan.commands == (
        Command(0, Action.SET_MODE, (5, 7), Mode.LTP),
        Command(0, Action.SUBSCRIBE, (200,), Mode.LTP),
    )


def test_what_there_is_no_room_for_changes_nothing() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(25))
    before = planner.subscriptions()
    with pytest.raises(CapacityExceeded) as caught:
        planner.subscribe(range(20, 31), Mode.FULL)
    assert (caught.value.requested, caught.value.available) == (6, 5)
    assert planner.subscriptions() == before


def test_an_unsubscribe_frees_the_place() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(30))
    plan = planner.unsubscribe([0, 0, 99])
    (command,) = plan.commands
    assert (command.action, command.tokens) == (Action.UNSUBSCRIBE, (0,))
    assert planner.available == 1
    subscribe(planner, range(40, 41))
    assert planner.subscriptions()[40] == (Mode.QUOTE, command.connection)


def test_a_mode_needs_a_subscription() -> None:
    planner = opened_planner()
    subscribe(planner, range(3))
    with pytest.raises(UnknownInstrument, match=r"'7'.*subscribe first"):
        planner.set_mode([1, 7], Mode.FULL)
    assert planner.subscriptions()[1] == (Mode.QUOTE, 0)
    assert planner.set_mode([1, 2], Mode.QUOTE) == Plan()


def test_before_a_connection_opens_nothing_is_sent() -> None:
    planner = Planner(1, Limits())
    assert planner.subscribe(range(3), Mode.FULL).commands == ()
    assert planner.set_mode([1], Mode.LTP).commands == ()
    assert planner.unsubscribe([2]).commands == ()
    assert planner.start().opens == (0,)
    assert planner.opened(0).commands == (
        Command(0, Action.SUBSCRIBE, (0,), Mode.FULL),
        Command(0, Action.SUBSCRIBE, (1,), Mode.LTP),
    )


def test_a_connection_that_is_down_keeps_its_instruments() -> None:
    planner = opened_planner()
    subscribe(planner, range(2_001))
    planner.closed(1)
    assert loads(planner) == [667] * 3
    assert sum(len(command.tokens) for command in planner.opened(1).commands) == 667


def test_a_lost_connections_instruments_move_while_there_is_room() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(25))
    assert loads(planner) == [9, 8, 8]
    plan = planner.lost(0)
    assert plan.moves == (Move(0, 1, 2), Move(0, 2, 2))
    assert loads(planner) == [5, 10, 10]


def test_waiting_instruments_move_when_room_is_made() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(30))
    assert planner.lost(0).moves == ()
    on_one = [token for token, (_, where) in planner.subscriptions().items() if where == 1]
    plan = planner.unsubscribe(on_one[:3])
    assert plan.moves == (Move(0, 1, 3),)
    assert [command.action for command in plan.commands] == [Action.UNSUBSCRIBE, Action.SUBSCRIBE]


def test_moves_prefer_the_own_account() -> None:
    planner = opened_planner(accounts=2, limits=SMALL)
    subscribe(planner, range(48))
    assert loads(planner) == [8] * 6
    assert planner.lost(4).moves == (
        Move(4, 3, 2),
        Move(4, 5, 2),
        Move(4, 0, 2),
        Move(4, 1, 1),
        Move(4, 2, 1),
    )


def test_the_list_of_subscriptions_never_changes_and_is_one_until_they_do() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(1, 3), Mode.LTP)
    before = planner.subscriptions()
    planner.closed(0)
    assert planner.subscriptions() is before
    planner.set_mode([1], Mode.FULL)
    assert before == {1: (Mode.LTP, 0), 2: (Mode.LTP, 0)}
    assert planner.subscriptions() == {1: (Mode.FULL, 0), 2: (Mode.LTP, 0)}


def test_moves_keep_the_modes() -> None:
    planner = opened_planner(limits=SMALL)
    subscribe(planner, range(6), Mode.FULL)
    planner.set_mode([0, 3], Mode.LTP)
    before = {token: mode for token, (mode, _) in planner.subscriptions().items()}
    plan = planner.lost(0)
    assert {token: mode for token, (mode, _) in planner.subscriptions().items()} == before
    assert {command.mode for command in plan.commands} == {Mode.FULL, Mode.LTP}


def test_new_instruments_avoid_lost_connections_until_all_others_are_full() -> None:
    planner = opened_planner(limits=SMALL)
    planner.lost(0)
    subscribe(planner, range(20))
    assert loads(planner) == [0, 10, 10]
    subscribe(planner, range(20, 25))
    assert loads(planner) == [5, 10, 10]


def test_a_whole_account_can_be_lost() -> None:
    planner = Planner(1, SMALL)
    planner.start()
    for connection in range(3):
        planner.lost(connection)
    planner.subscribe(range(30), Mode.LTP)
    assert len(planner) == 30
    planner.revived(0)
    assert sum(len(command.tokens) for command in planner.opened(0).commands) == 10


TOKENS = st.lists(st.integers(1, 40), max_size=25)
MODES = st.sampled_from(list(Mode))
CONNECTION_RANGE = range(6)
CONNECTIONS = st.sampled_from(CONNECTION_RANGE)


class Histories(RuleBasedStateMachine):
    """Two accounts with three connections of five places, and a server that obeys."""

    LIMITS = Limits(connections=3, instruments_per_connection=5)

    def __init__(self) -> None:
        super().__init__()
        self.planner = Planner(2, self.LIMITS)
        self.desired: dict[int, Mode] = {}
        self.server: dict[int, dict[int, Mode]] = {}
        self.lost: set[int] = set()
        self.ever_lost = False

    def carry_out(self, plan: Plan) -> None:
        for command in plan.commands:
            modes = self.server[command.connection]  # a KeyError is a command to a dead socket
            if command.action is Action.UNSUBSCRIBE:
                for token in command.tokens:
                    del modes[token]
            elif command.action is Action.SET_MODE:
                assert command.mode is not None
                assert set(command.tokens) <= set(modes)
                modes.update(dict.fromkeys(command.tokens, command.mode))
            else:
                assert command.mode is not None
                assert not set(command.tokens) & set(modes), "subscribed twice"
                modes.update(dict.fromkeys(command.tokens, command.mode))
            assert len(modes) <= self.LIMITS.instruments_per_connection

    @rule()
    def start(self) -> None:
        assert {0, 3} <= set(self.planner.start().opens)

    @rule(tokens=TOKENS, mode=MODES)
    def subscribe(self, tokens: list[int], mode: Mode) -> None:
        new = set(tokens) - set(self.desired)
        before = self.planner.subscriptions()
        if len(new) > 30 - len(self.desired):
            with pytest.raises(CapacityExceeded) as caught:
                self.planner.subscribe(tokens, mode)
            assert caught.value.available == 30 - len(self.desired)
            assert self.planner.subscriptions() == before
            return
        plan = self.planner.subscribe(tokens, mode)
        after = self.planner.subscriptions()
        assert all(after[token][1] == where for token, (_, where) in before.items()), "moved"
        self.desired.update(dict.fromkeys(tokens, mode))
        self.carry_out(plan)

    @rule(tokens=TOKENS)
    def unsubscribe(self, tokens: list[int]) -> None:
        self.carry_out(self.planner.unsubscribe(tokens))
        for token in tokens:
            self.desired.pop(token, None)

    @rule(tokens=TOKENS, mode=MODES)
    def set_mode(self, tokens: list[int], mode: Mode) -> None:
        if not set(tokens) <= set(self.desired):
            with pytest.raises(UnknownInstrument):
                self.planner.set_mode(tokens, mode)
            return
        plan = self.planner.set_mode(tokens, mode)
        self.desired.update(dict.fromkeys(tokens, mode))
        self.carry_out(plan)

    @rule(connection=CONNECTIONS)
    def opened(self, connection: int) -> None:
        if connection in self.planner.needed and connection not in self.server:
            self.server[connection] = {}
            self.lost.discard(connection)
            self.carry_out(self.planner.opened(connection))

    @rule(connection=CONNECTIONS)
    def closed(self, connection: int) -> None:
        self.server.pop(connection, None)
        self.planner.closed(connection)

    @rule(connection=CONNECTIONS)
    def lose(self, connection: int) -> None:
        self.server.pop(connection, None)
        self.lost.add(connection)
        self.ever_lost = True
        self.carry_out(self.planner.lost(connection))

    @rule(connection=CONNECTIONS)
    def revive(self, connection: int) -> None:
        self.lost.discard(connection)
        self.planner.revived(connection)

    @invariant()
    def desired_is_assigned(self) -> None:
        subscriptions = self.planner.subscriptions()
        assert {token: mode for token, (mode, _) in subscriptions.items()} == self.desired
        assert len(self.planner) == len(self.desired)
        places = Counter(where for _, where in subscriptions.values())
        assert set(places) <= set(self.planner.needed)
        assert all(self.planner.load(where) == places[where] for where in CONNECTION_RANGE)

    @invariant()
    def no_connection_is_over_its_limit(self) -> None:
        for connection in CONNECTION_RANGE:
            assert self.planner.load(connection) <= self.LIMITS.instruments_per_connection

    @invariant()
    def open_servers_are_in_the_desired_state(self) -> None:
        subscriptions = self.planner.subscriptions()
        for connection, modes in self.server.items():
            expected = {
                token: m for token, (m, where) in subscriptions.items() if where == connection
            }
            assert modes == expected

    @invariant()
    def nothing_waits_on_a_lost_connection_while_an_open_one_has_room(self) -> None:
        room = any(len(modes) < 5 for modes in self.server.values())
        assert not room or not any(self.planner.load(lost) for lost in self.lost)

    @invariant()
    def many_instruments_need_many_connections(self) -> None:
        if not self.ever_lost:  # a lost connection is not opened for what has room elsewhere
            worth = math.ceil(len(self.desired) / instruments_per_opening(self.LIMITS))
            assert len(self.planner.needed) >= min(6, worth)


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
