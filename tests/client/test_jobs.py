"""Jobs against a service that says what the test wants it to say."""

import io
import json
import re

import httpx
import pytest

from vitrina_client import ItemFailed, JobFailed, NotFound, Unavailable, UnexpectedAnswer, Unfinished, models
from vitrina_client.progress import Bar, text

ERROR = {"code": "invalid_input", "message": "price: must be above 0", "field": "price"}
LISTINGS = [{"title": "a"}, {"title": "b"}, {"title": "c"}]


def said(state="running", done=0, failed=0, items=3, detail=None, name="7"):
    return {
        "id": name,
        "kind": "embeddings/batch",
        "state": state,
        "items": items,
        "done": done,
        "failed": failed,
        "progress": (done + failed) / items,
        "model": {"name": "product", "version": 2},
        "detail": detail,
        "created_at": "2026-11-29T05:00:00Z",
        "started_at": None,
        "finished_at": None,
        "links": {"job": "", "result": "", "failures": "", "events": ""},
    }


def line(place, error=None):
    head = {"prediction_id": str(place), "model": {"name": "product", "version": 2}, "modalities": ["title"]}
    result = None if error else head | {"embedding": [float(place), 0.5]}
    return json.dumps({"place": place, "state": "failed" if error else "done", "result": result, "error": error})


def event(name, job, number):
    return f"event: {name}\nid: {number}\ndata: {json.dumps(job)}\n\n"


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces; a piece that is an error breaks it off, one that is a function is called."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if callable(piece):
                piece()
            else:
                yield piece.encode()

    async def __aiter__(self):
        for piece in self:
            yield piece


class Service:
    """Answers by path, in turn; the last answer of a path is given again."""

    def __init__(self, **answers):
        self.answers = {name: list(answer) for name, answer in answers.items()}
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        name = (
            {"POST": "leave", "DELETE": "cancel"}.get(request.method) or re.sub(r"/v1/jobs/\w+/?", "", request.url.path) or "look"
        )
        waiting = self.answers[name]
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": {"code": "told", "message": "why", "field": None}})
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            return httpx.Response(200, stream=Body(*answer))
        return httpx.Response(202 if name == "leave" else 200, json=answer)

    def asked(self, name):
        return [request for request in self.requests if request.url.path.endswith(name)]


@pytest.fixture
def leave(face):
    """Leaves a job with a service; the job's methods answer at once."""

    def left(service, items=LISTINGS):
        made = face("http://shop", transport=httpx.MockTransport(service))
        return made, made.embed_batch_job(items)

    return left


def test_a_job_is_left_watched_and_taken(leave):
    events = (
        "retry: 1000\n\n",
        event("progress", said(done=1), 1),
        ": still here\n\n",
        event("ended", said("partly_failed", 2, 1), 2),
    )
    results = (line(0) + "\n", line(2) + "\n"), (line(1, ERROR) + "\n",)
    service = Service(leave=[said("queued")], events=[events], result=results)
    face, job = leave(service)
    assert (job.id, job.ended, job.seen.state) == ("7", False, "queued")
    assert service.requests[0].headers["Prefer"] == "respond-async"
    assert json.loads(service.requests[0].content) == {"items": LISTINGS}
    ended = face.run(job.wait(progress=False))
    assert (ended.state, ended.done, ended.failed, job.ended) == ("partly_failed", 2, 1, True)
    done = face.run(job.result())
    assert [(one.place, type(one.result), one.result.embedding) for one in done] == [
        (0, models.Embedding, [0.0, 0.5]),
        (2, models.Embedding, [2.0, 0.5]),
    ]
    [failure] = face.run(job.failures())
    assert (failure.place, failure.error) == (1, models.ErrorDetail(**ERROR))
    assert [(dict(r.url.params), r.headers["Accept"]) for r in service.asked("/result")] == [
        ({"state": "done", "start": "0"}, "application/x-ndjson"),
        ({"state": "failed", "start": "0"}, "application/x-ndjson"),
    ]


ODD = "one\u2028two\u2029three\x85four"
"""A text that JSON holds as it is, and that Python takes for four lines."""


def raw(text):
    return json.dumps(json.loads(text), ensure_ascii=False)


def test_a_line_ends_with_a_line_feed_alone(leave):
    seen = raw(json.dumps(said("partly_failed", 1, 1, detail=ODD)))
    failed = raw(line(1, ERROR | {"message": ODD}))
    service = Service(
        leave=[said()],
        events=[(f"event: ended\r\nid: 1\r\ndata: {seen}\r\n\r\n",)],
        result=[(failed[:60], failed[60:] + "\n" + failed)],
    )
    face, job = leave(service)
    assert face.run(job.wait(progress=False)).detail == ODD
    assert [failure.error.message for failure in face.run(job.failures())] == [ODD, ODD]


@pytest.mark.slow
def test_the_steps_of_a_job(leave):
    events = [(event("progress", said(done=n), n),) for n in (1, 2)]
    service = Service(
        leave=[said()], events=[*events, (event("ended", said("succeeded", 3), 3),)], look=[said(done=1), said(done=2)]
    )
    face, job = leave(service)
    assert [seen.done for seen in face.run(job.watch())] == [1, 2, 3]


def test_events_that_break_off_are_taken_up_again(leave, clock):
    first = (event("progress", said(done=1), "a"), httpx.ReadError(""))
    service = Service(leave=[said()], events=[first, (event("ended", said("succeeded", 3), "b"),)], look=[said(done=1)])
    face, job = leave(service)
    assert face.run(job.wait(progress=False)).state == "succeeded"
    assert [request.headers.get("Last-Event-ID") for request in service.asked("/events")] == [None, "a"]
    assert clock.slept == [1.0]


@pytest.mark.parametrize("failure", [503, 429, httpx.ConnectError(""), ("no events\n",), (httpx.ReadTimeout(""),)])
def test_where_no_events_come_through_the_job_is_looked_at(leave, clock, failure):
    service = Service(leave=[said()], events=[failure], look=[said(done=1), said(done=1), said(done=2), said("succeeded", 3)])
    face, job = leave(service)
    assert [seen.done for seen in face.run(job.watch())] == [1, 2, 3]
    assert clock.slept == [1.0] * 3


def test_a_service_that_is_away_is_waited_for(leave, clock):
    away = [httpx.ConnectError("")] * 9
    service = Service(leave=[said()], events=[*away, (event("ended", said("succeeded", 3), 1),)], look=away)
    face, job = leave(service)
    assert face.run(job.wait(progress=False)).state == "succeeded"
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]


def test_a_job_that_was_quiet_for_long_is_waited_for_as_any_other(leave, clock):
    quiet = (": still here\n", lambda: clock.sleep(1000), ": still here\n", httpx.ReadError(""))
    service = Service(
        leave=[said()], events=[quiet, (event("ended", said("succeeded", 3), 1),)], look=[httpx.ConnectError(""), said(done=1)]
    )
    face, job = leave(service)
    assert face.run(job.wait(progress=False)).state == "succeeded"
    assert clock.slept == [1000, 0.25]


def test_a_service_that_is_away_for_good(leave, clock):
    face, job = leave(Service(leave=[said()], events=[503], look=[503]))
    with pytest.raises(Unavailable):
        face.run(job.wait(progress=False))
    assert 112 <= clock.now <= 120


def test_a_job_that_is_forgotten(leave):
    face, job = leave(Service(leave=[said()], events=[404], look=[404]))
    with pytest.raises(NotFound):
        face.run(job.wait(progress=False))


def test_waiting_ends_in_time(leave, clock):
    service = Service(leave=[said()], events=[503], look=[said(done=1)])
    face, job = leave(service)
    with pytest.raises(Unfinished, match="job 7 goes on: 1 of 3 items have ended"):
        face.run(job.wait(timeout=2.5, progress=False))
    assert clock.now == 2.5
    waited = [request.extensions["timeout"]["read"] for request in service.asked("/events")]
    assert waited == [pytest.approx(seconds) for seconds in (2.5, 1.5, 0.5)]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (said("failed", 0, 3), "job 7 failed: 3 of 3 items failed"),
        (said("failed", detail="product has no champion"), "job 7 failed: product has no champion"),
        (said("cancelled", 1), "job 7 cancelled: 0 of 3 items failed"),
    ],
)
def test_a_job_that_came_to_nothing(leave, job, message):
    face, left = leave(Service(leave=[said()], events=[(event("ended", job, 1),)]))
    with pytest.raises(JobFailed) as caught:
        face.run(left.wait(progress=False))
    assert (caught.value.message, caught.value.code) == (message, f"job_{job['state']}")


def test_cancelling(leave):
    service = Service(leave=[said()], cancel=[said("cancelled", 1)])
    face, job = leave(service)
    assert face.run(job.cancel()).state == "cancelled"
    assert job.ended


def test_results_that_break_off_are_taken_up_behind_the_last_whole_line(leave, clock):
    cut = line(1)
    broken = (line(0) + "\n" + cut[:20], httpx.RemoteProtocolError("incomplete chunked read"))
    service = Service(leave=[said("succeeded", 3)], result=[broken, (cut + "\n" + line(2) + "\n",)])
    face, job = leave(service)
    assert [done.place for done in face.run(job.result())] == [0, 1, 2]
    assert [request.url.params["start"] for request in service.asked("/result")] == ["0", "1"]
    assert clock.slept == [0.25]


def test_results_that_always_break_off(leave, clock):
    service = Service(leave=[said("succeeded", 3)], result=[(httpx.ReadError(""),)])
    face, job = leave(service)
    with pytest.raises(Exception, match="ReadError"):
        face.run(job.result())
    assert len(clock.slept) == 4


def test_a_line_that_is_no_item(leave):
    face, job = leave(Service(leave=[said()], result=[("<html>\n",)]))
    with pytest.raises(UnexpectedAnswer):
        face.run(job.result())


def test_a_job_of_another_kind(face):
    service = Service(look=[said("succeeded", 3)], result=[(line(0) + "\n",)])
    made = face("http://shop", transport=httpx.MockTransport(service))
    with pytest.raises(UnexpectedAnswer, match="the result of item 0 is no Drawn: images: Field required"):
        made.run(made.job("7", models.Drawn).result())


def test_a_job_is_found_again_by_its_id(face):
    service = Service(look=[said("succeeded", 3)], result=[(line(0) + "\n",)])
    made = face("http://shop", transport=httpx.MockTransport(service))
    job = made.job("7", models.Embedding)
    assert made.run(job.wait()).done == 3
    assert [type(done.result) for done in made.run(job.result())] == [models.Embedding]


def test_many_at_once_wait_for_the_job_that_they_become(face):
    service = Service(
        leave=[said()], events=[(event("ended", said("succeeded", 3), 1),)], result=[(), (line(0) + "\n" + line(1) + "\n",)]
    )
    made = face("http://shop", transport=httpx.MockTransport(service))
    embeddings = made.embed_batch(LISTINGS)
    assert [item.embedding[0] for item in embeddings.items] == [0.0, 1.0]
    assert embeddings.model == models.Served(name="product", version=2)
    assert "Prefer" not in service.requests[0].headers


def test_one_item_at_fault_refuses_many_that_became_a_job(face):
    ended = (event("ended", said("partly_failed", 2, 1), 1),)
    service = Service(leave=[said()], events=[ended], result=[(line(1, ERROR) + "\n",)])
    with pytest.raises(ItemFailed) as caught:
        face("http://shop", transport=httpx.MockTransport(service)).embed_batch(LISTINGS)
    assert (caught.value.field, caught.value.code) == ("items.1.price", "invalid_input")
    assert caught.value.message == "items.1: price: must be above 0"


def test_many_of_which_all_are_at_fault_name_the_first(face):
    ended = (event("ended", said("failed", 0, 3), 1),)
    service = Service(leave=[said()], events=[ended], result=[(line(0, ERROR) + "\n",)])
    with pytest.raises(ItemFailed) as caught:
        face("http://shop", transport=httpx.MockTransport(service)).embed_batch(LISTINGS)
    assert caught.value.field == "items.0.price"


def test_many_whose_job_failed_as_a_whole_say_why(face):
    ended = (event("ended", said("failed", 0, 1, detail="the model is gone"), 1),)
    service = Service(leave=[said()], events=[ended])
    with pytest.raises(JobFailed, match="the model is gone"):
        face("http://shop", transport=httpx.MockTransport(service)).embed_batch(LISTINGS)


def test_each_part_has_its_own_name_of_the_callers_key(face, monkeypatch):
    monkeypatch.setattr("vitrina_client.batches.MOST_ITEMS", 2)
    named = []

    def embeddings(request):
        named.append(request.headers["Idempotency-Key"])
        items = [json.loads(line(place))["result"] for place, _ in enumerate(json.loads(request.content)["items"])]
        return httpx.Response(200, json={"model": {"name": "product", "version": 2}, "items": items})

    made = face("http://shop", transport=httpx.MockTransport(embeddings))
    of_night = made.client.options(idempotency_key="night")
    for _ in range(2):
        assert len(made.run(of_night.embed_many({"title": title} for title in "abcde"))) == 5
    assert named == ["night", "night:2", "night:4"] * 2


def test_any_number_goes_in_parts(face, monkeypatch):
    monkeypatch.setattr("vitrina_client.batches.MOST_ITEMS", 2)
    sent = []

    def embeddings(request):
        sent.append([item["title"] for item in json.loads(request.content)["items"]])
        if "wrong" in sent[-1]:
            error = {"code": "invalid_input", "message": "items.1.title: wrong", "field": "items.1.title"}
            return httpx.Response(400, json={"error": error})
        items = [json.loads(line(place))["result"] for place in range(len(sent[-1]))]
        return httpx.Response(200, json={"model": {"name": "product", "version": 2}, "items": items})

    made = face("http://shop", transport=httpx.MockTransport(embeddings))
    assert len(made.embed_many({"title": title} for title in "abcde")) == 5
    assert sent == [["a", "b"], ["c", "d"], ["e"]]
    with pytest.raises(Exception, match=r"items\.3\.title: wrong") as caught:
        made.embed_many({"title": title} for title in ("a", "b", "c", "wrong"))
    assert caught.value.field == "items.3.title"
    assert made.embed_many([]) == []


def test_parts_are_bounded_by_their_bytes(monkeypatch):
    from vitrina_client.batches import parts

    monkeypatch.setattr("vitrina_client.batches.MOST_BYTES", 40)
    found = list(parts([{"image": io.BytesIO(b"x" * 9)}, {"title": "y"}, {"title": "z" * 99}, {"title": "y"}]))
    assert [(start, len(part)) for start, part in found] == [(0, 2), (2, 1), (3, 1)]
    assert found[0][1][0] == {"image": "eHh4eHh4eHh4"}


def test_the_bar():
    shown = io.StringIO()
    with Bar(True, shown) as bar:
        bar.show(models.Job(**said(done=1)))
        bar.show(models.Job(**said("partly_failed", 2, 1)))
    lines = shown.getvalue().split("\r")
    assert lines[1] == "embeddings/batch [##########....................] 1/3  33% 0:00 running"
    assert lines[2].rstrip("\n") == "embeddings/batch [##############################] 3/3 100% 0:00 partly_failed, 1 failed"
    assert shown.getvalue().endswith("\n")


def test_the_bar_of_an_empty_job_and_of_a_shorter_line():
    assert text(models.Job(**said("queued") | {"items": 0}), 61) == f"embeddings/batch [{'#' * 30}] 0/0 100% 1:01 queued"


@pytest.mark.parametrize(
    ("asked", "terminal", "drawn"), [(None, True, True), (None, False, False), (True, False, True), (False, True, False)]
)
def test_the_bar_is_drawn_where_a_person_looks(leave, monkeypatch, asked, terminal, drawn):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr("sys.stderr", stream)
    face, job = leave(Service(leave=[said()], events=[(event("ended", said("succeeded", 3), 1),)]))
    face.run(job.wait(progress=asked))
    assert bool(stream.getvalue()) is drawn
