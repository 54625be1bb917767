from vitrina_client.events import Event, Reader


def read(text):
    reader = Reader()
    return [event for line in text.split("\n") for event in reader.feed(line)]


def test_events_as_the_standard_reads_them():
    text = ": a comment\nretry: 1000\n\nevent: progress\nid: 1\ndata: {\ndata:  1}\n\ndata\n\nevent: lost\n\ndata: x:y\nid\n\n"
    assert read(text) == [Event("progress", "{\n 1}", "1"), Event("message", "", "1"), Event("message", "x:y", "")]


def test_an_event_that_is_cut_off_is_none():
    assert read("data: 1") == []
