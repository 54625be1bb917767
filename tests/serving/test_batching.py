import asyncio
import threading
import time

import pytest

from serving.batching import Batcher
from serving.errors import Unavailable


def batcher(run, **options):
    return Batcher(run, **({"max_size": 8, "max_wait": 0.05, "max_queue": 1000} | options))


def served(made, scenario):
    async def whole():
        made.start()
        try:
            return await scenario(made)
        finally:
            await made.stop()

    return asyncio.run(whole())


def test_answers_come_back_to_the_one_who_asked():
    async def many(made):
        return await asyncio.gather(*(made.submit([i]) for i in range(500)))

    assert served(batcher(lambda items: [10 * i for i in items]), many) == [[10 * i] for i in range(500)]


def test_what_waits_together_runs_together_and_never_above_the_limit():
    sizes = []

    def run(items):
        sizes.append(len(items))
        time.sleep(0.01)
        return items

    async def many(made):
        await asyncio.gather(*(made.submit([i]) for i in range(64)))

    served(batcher(run), many)
    assert max(sizes) == 8
    assert len(sizes) <= 10


def test_a_lone_client_does_not_wait_for_company():
    async def one_after_another(made):
        start = time.perf_counter()
        for i in range(20):
            await made.submit([i])
        return time.perf_counter() - start

    assert served(batcher(list, max_wait=0.2), one_after_another) < 1.0  # 20 waits would take 4 s


def test_a_burst_after_bursts_waits_for_the_rest_of_itself():
    sizes = []

    def run(items):
        sizes.append(len(items))
        return items

    async def bursts(made):
        for _ in range(20):
            await asyncio.gather(*(made.submit([i]) for i in range(6)))
        sizes.clear()

        async def late(i):
            await asyncio.sleep(0.002 * i)
            await made.submit([i])

        await asyncio.gather(*(late(i) for i in range(6)))

    served(batcher(run, max_wait=0.5), bursts)
    assert sizes[0] >= 5


def test_only_the_item_at_fault_fails():
    def run(items):
        if "bad" in items:
            raise ValueError("bad item")
        return [item.upper() for item in items]

    async def many(made):
        return await asyncio.gather(*(made.submit([item]) for item in ["a", "b", "bad", "c", "d"]), return_exceptions=True)

    answers = served(batcher(run), many)
    assert [answers[i] for i in (0, 1, 3, 4)] == [["A"], ["B"], ["C"], ["D"]]
    assert str(answers[2]) == "bad item"


def test_a_full_queue_refuses_and_recovers():
    gate = threading.Event()

    def run(items):
        gate.wait(60)
        return items

    async def scenario(made):
        first = asyncio.ensure_future(made.submit([0]))
        await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(made.submit([1, 2, 3]))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="more than 3 items"):
            await made.submit([4])
        gate.set()
        assert await first == [0]
        assert await waiting == [1, 2, 3]
        assert await made.submit([5]) == [5]

    served(batcher(run, max_queue=3), scenario)


def test_a_client_that_left_costs_nothing_and_harms_nobody():
    seen = []
    gate = threading.Event()

    def run(items):
        seen.extend(items)
        gate.wait(60)
        return items

    async def scenario(made):
        first = asyncio.ensure_future(made.submit(["first"]))
        await asyncio.sleep(0.05)
        leaver = asyncio.ensure_future(made.submit(["left"]))
        stayer = asyncio.ensure_future(made.submit(["stayed"]))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await first == ["first"]
        assert await stayer == ["stayed"]

    served(batcher(run), scenario)
    assert seen == ["first", "stayed"]


def test_stopping_answers_those_who_wait():
    gate = threading.Event()

    async def scenario():
        made = batcher(lambda items: gate.wait(60) and items)
        made.start()
        running = asyncio.ensure_future(made.submit([0]))
        await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(made.submit([1]))
        await asyncio.sleep(0)
        await made.stop()
        gate.set()
        answers = await asyncio.gather(waiting, running, return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in answers)

    asyncio.run(scenario())
