"""Messages that arrive take places, and when memory is short those go that take longest."""

from __future__ import annotations

import asyncio

import pytest

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport import grpc_intake as intake_module
from spanhouse.exporter.transport.grpc_intake import GrpcIntake


class Senders:
    """Messages that do not come before they are let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def read(self) -> bytes:
        self.begun += 1
        await self.go.wait()
        return b"message"


def test_while_too_much_is_held_the_oldest_messages_end_until_one_is_left() -> None:
    async def run() -> None:
        senders, looks, held = Senders(), asyncio.Queue[int](), 10

        def look() -> int:
            looks.put_nowait(held)
            return held

        intake = GrpcIntake(10, held=look)
        messages = [asyncio.create_task(intake(senders.read)) for _ in range(7)]
        held = 20
        for _ in range(3):
            await looks.get()
        assert senders.begun == 7
        assert not any(message.done() for message in messages)
        held = 21
        for message in messages[:6]:
            with pytest.raises(UnavailableError) as caught:
                await message
            assert caught.value.retry_seconds
        senders.go.set()
        assert await messages[6] == b"message"

    asyncio.run(run())


def test_where_nobody_can_say_what_is_held_few_messages_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "heap_meter", lambda: None)

    async def run() -> None:
        senders = Senders()
        intake = GrpcIntake(10)
        messages = [asyncio.create_task(intake(senders.read)) for _ in range(7)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert senders.begun == 4
        senders.go.set()
        assert await asyncio.gather(*messages) == [b"message"] * 7

    asyncio.run(run())


def test_a_message_that_is_out_of_time_is_not_hurried_as_well() -> None:
    async def run() -> None:
        senders = Senders()
        intake = GrpcIntake(10, held=lambda: 0, at_once=1, seconds=0, seconds_when_others_wait=0)
        for message in [asyncio.create_task(intake(senders.read)) for _ in range(5)]:
            with pytest.raises(UnavailableError):
                await message

    asyncio.run(run())
