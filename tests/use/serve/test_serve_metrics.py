import requests
from loopback import running
from stub import StubModels, grey_png

from ismila.use.serve.app import make_app


def test_requests_photos_and_times_are_counted_refused_ones_too():
    with running(make_app(StubModels(), feedback=False, loopback=True)) as address:
        for value in (0, 128, 255):
            requests.post(f"{address}/api/predict", data=grey_png(value))
        requests.get(address, headers={"Host": "evil.example"})
        requests.get(f"{address}/nothing")
        answer = requests.get(f"{address}/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    for line in (
        'ismila_requests_total{status="200"} 3.0',
        'ismila_requests_total{status="403"} 1.0',
        'ismila_requests_total{status="404"} 1.0',
        'ismila_photos_total{verdict="unsure"} 1.0',
        'ismila_photos_total{verdict="true"} 1.0',
        'ismila_photos_total{verdict="false"} 1.0',
        "ismila_request_seconds_count 5.0",
        "ismila_requests_waiting 0.0",
    ):
        assert line in answer.text.splitlines(), line


def test_two_applications_count_for_themselves():
    first, second = (make_app(StubModels(), feedback=False, loopback=True) for _ in range(2))
    with running(first) as one, running(second) as other:
        requests.get(f"{one}/health")
        assert "ismila_request_seconds_count 0.0" in requests.get(f"{other}/metrics").text
