"""A caller waits until its own event is reflected, and not for ever."""

import asyncio

from vernal.serving import applied as module
from vernal.serving.applied import Applied


class State:
    offset = 0


def test_what_is_reflected_already_is_not_waited_for():
    assert asyncio.run(Applied(lambda: 7).reached(7))


def test_waiters_go_on_once_their_own_offset_is_reached():
    async def scene():
        state, order = State(), []
        waiting = Applied(lambda: state.offset)

        async def caller(offset):
            assert await waiting.reached(offset)
            order.append((offset, state.offset))

        callers = [asyncio.create_task(caller(offset)) for offset in (3, 1, 2)]
        for step in (1, 2, 3):
            state.offset = step
            while len(order) < step:
                await asyncio.sleep(0)
        await asyncio.gather(*callers)
        return order

    assert asyncio.run(scene()) == [(1, 1), (2, 2), (3, 3)]


def test_a_stopped_stream_worker_ends_the_wait_with_no(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.01)
    assert not asyncio.run(Applied(lambda: 0).reached(1))
