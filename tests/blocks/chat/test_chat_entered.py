"""What the store keeps of requests on their way: one that left late, one whose process died, waits of hours."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

from blocks.chat.admission import Rules
from blocks.chat.backends import Place
from blocks.chat.budget import BudgetPlan
from blocks.chat.gate import Gate
from blocks.chat.journal import Journal
from blocks.chat.limits import WINDOW_S, Limits
from blocks.chat.orders import NOBODY, Closing, Desk, Go, Order, Return
from blocks.chat.owners import Owner, life, new_owner
from blocks.chat.server_waits import KeptWait, enter, standing_waits
from tests.support.stores import look
from tests.support.traffic import START, Road, store_at, waits


def test_a_request_that_left_late_counts_from_when_it_left(place: Place) -> None:
    """Else a minute of the server's could hold more than the limit."""
    with store_at(place) as connection:
        road = Road(connection, limits=Limits(requests_per_minute=1))
        ((order, _),) = road.send(START, road.orders(1))
        assert waits(road.handle(START + 40, road.orders(1), late=[order.id])) == [pytest.approx(WINDOW_S)]
        assert waits(road.handle(START + WINDOW_S + 1, road.orders(1))) == [pytest.approx(39)]
        assert road.send(START + 40 + WINDOW_S, road.orders(1))


def test_only_the_one_that_was_late_counts_anew(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection, limits=Limits(requests_per_minute=2))
        ((first, _), _) = road.send(START, road.orders(2))
        road.handle(START + 30, late=[first.id])
        assert len(road.send(START + WINDOW_S, road.orders(2))) == 1


async def test_the_gate_enters_a_late_request_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "store.db") as journal:
        desk = Desk("account", "endpoint", journal.owner, NOBODY, BudgetPlan())
        gate = Gate(journal, desk, Rules(Limits(requests_per_minute=9)).limits, None, lambda _: None)
        for name in ("one", "two"):
            decision, _ = await gate.ask(Order(name, name, "m", 1, 0, 0.0))
            assert isinstance(decision, Go)
        look(tmp_path / "store.db", "UPDATE traffic_sends SET at = 0")
        gate.late("one")
        gate.settle(Return("two", "m", "2027-01-15", "ok"))
        await gate.ask(Order("three", "three", "m", 1, 0, 0.0))
        kept = dict(look(tmp_path / "store.db", "SELECT id, at > 0 FROM traffic_sends WHERE id IN ('one', 'two')"))
    assert kept == {"one": 1, "two": 0}


def test_a_process_that_has_ended_and_was_not_fetched_yet_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = Owner(new_owner().place, child.pid, _started(child.pid), "n")
    assert life(str(alive)) == "alive"
    child.kill()
    # Its state is a zombie's until somebody asks for its end.
    while _state(child.pid) != "Z":
        time.sleep(0.01)
    assert life(str(alive)) == "dead"
    child.wait()
    assert life(str(alive)) == "dead"


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _state(pid: int) -> str:
    return _fields(pid)[0]


def _started(pid: int) -> str:
    return _fields(pid)[19]


# Waits of hours that servers have asked for


def kept(connection: Connection, account: str, back: Return, now: float, *, sent: float | None = None) -> None:
    desk = Desk(account, "http://e/v1", "owner", NOBODY, BudgetPlan())
    connection.exec_driver_sql("BEGIN")
    enter(connection, desk, [(back, now if sent is None else sent)], now)
    connection.exec_driver_sql("COMMIT")


def away(seconds: float, model: str = "m", said: str = "per day") -> Return:
    return Return("a", model, "day", "rate_limited", closing=Closing(seconds, said))


def test_a_wait_stands_until_it_is_over(place: Place) -> None:
    with store_at(place) as connection:
        kept(connection, "one", away(100), START)
        wait = KeptWait("http://e/v1", "m", START, START + 100, "per day")
        assert standing_waits(connection, START + 99.5) == [wait]
        assert standing_waits(connection, START + 100) == []


@pytest.mark.parametrize("order", [(50, 100), (100, 50)])
def test_of_several_accounts_the_longest_wait_is_told(order: tuple[float, float], place: Place) -> None:
    with store_at(place) as connection:
        for account, seconds in zip(("one", "two"), order, strict=True):
            kept(connection, account, away(seconds), START)
        assert [wait.until for wait in standing_waits(connection, START)] == [START + 100]
        kept(connection, "one", away(10, "k"), START)
        assert [(wait.model, wait.until) for wait in standing_waits(connection, START)] == [
            ("k", START + 10), ("m", START + 100),
        ]  # fmt: skip


def test_a_later_word_of_the_server_takes_the_place_of_an_earlier_one(place: Place) -> None:
    with store_at(place) as connection:
        kept(connection, "one", away(100), START)
        kept(connection, "one", away(20, said="per hour"), START + 5)
        assert standing_waits(connection, START + 6) == [
            KeptWait("http://e/v1", "m", START + 5, START + 25, "per hour")
        ]


def test_only_an_answer_to_what_was_sent_since_takes_a_wait_back(place: Place) -> None:
    with store_at(place) as connection:
        kept(connection, "one", away(100), START)
        good = Return("b", "m", "day", "ok")
        kept(connection, "one", good, START + 5, sent=START - 1)
        kept(connection, "one", good, START + 5, sent=START)
        kept(connection, "two", good, START + 5)
        kept(connection, "one", good._replace(model="k"), START + 5)
        kept(connection, "one", good._replace(outcome="timeout"), START + 5)
        assert len(standing_waits(connection, START + 6)) == 1
        kept(connection, "one", good, START + 5, sent=START + 1)
        assert standing_waits(connection, START + 6) == []
        # Nothing to take back is no mistake.
        kept(connection, "one", good, START + 7)
