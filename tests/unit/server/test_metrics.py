"""Counts in Prometheus's text form."""

import re
import threading

from optophone.server.metrics import BUCKETS_S, Metrics

LINE = re.compile(r"[a-z_]+(\{[a-z_]+=\"[^\"\n]*\"(,[a-z_]+=\"[^\"\n]*\")*\})? [-+0-9.e]+|# (HELP|TYPE) [a-z_]+ .+")


def test_everything_is_written_in_the_text_form() -> None:
    metrics = Metrics()
    metrics.count("optophone_requests_total", address="/x", status="200")
    metrics.count("optophone_requests_total", 2, address="/x", status="200")
    metrics.count("optophone_pictures_total", result='odd "one"\n')
    for seconds in (0.01, 0.05, 0.4, 99.0):
        metrics.observe("optophone_request_seconds", seconds, address="/x")
    text = metrics.text({"optophone_requests_waiting": 3})
    assert 'optophone_requests_total{address="/x",status="200"} 3\n' in text
    assert "optophone_requests_waiting 3\n" in text
    assert text.endswith("\n")
    for line in text.replace('\\"', "").splitlines():
        assert LINE.fullmatch(line), line


def test_buckets_count_what_is_at_most_as_long() -> None:
    metrics = Metrics()
    for seconds in (0.01, 0.05, 0.4, 99.0):
        metrics.observe("optophone_request_seconds", seconds, address="/x")
    text = metrics.text({})
    counts = [int(n) for n in re.findall(r'_bucket\{address="/x",le="[^"]+"\} (\d+)', text)]
    assert counts == [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4]
    assert len(counts) == len(BUCKETS_S) + 1
    assert 'optophone_request_seconds_sum{address="/x"} 99.46' in text
    assert 'optophone_request_seconds_count{address="/x"} 4' in text


def test_threads_lose_nothing() -> None:
    metrics = Metrics()

    def add() -> None:
        for _ in range(2000):
            metrics.count("optophone_sound_seconds_total", 0.5)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "optophone_sound_seconds_total 4000\n" in metrics.text({})
