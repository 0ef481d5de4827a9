"""Ctrl-C and `kill` end what waits, in order, and once."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from holdfast.ops import interrupts
from holdfast.ops.errors import CommandError


@pytest.fixture(autouse=True)
def _handlers_of_the_tests() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_an_interrupt_cancels_the_work_where_it_waits_and_lets_it_clean_up(number: signal.Signals) -> None:
    told = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), number)  # impatient: it changes nothing
            await asyncio.sleep(0.01)
            told.append("cleaned up")

    interrupts.raise_once()
    with pytest.raises(KeyboardInterrupt):
        interrupts.run_until_interrupted(work())
    assert told == ["cleaned up"]
    assert signal.getsignal(number) is signal.SIG_IGN


def test_an_interrupt_counts_even_if_the_work_ends_some_other_way() -> None:
    async def fails() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise CommandError("the broker is away") from None

    async def goes_on() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    for work in (fails, goes_on):
        with pytest.raises(KeyboardInterrupt):
            interrupts.run_until_interrupted(work())


def test_work_that_is_left_alone_returns_or_raises_and_handlers_are_as_before() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise CommandError("no")

    interrupts.raise_once()
    before = signal.getsignal(signal.SIGINT)
    assert interrupts.run_until_interrupted(answer()) == 42
    with pytest.raises(CommandError):
        interrupts.run_until_interrupted(fail())
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # once is enough
