import threading

import pytest

from authz.tools import scrape
from authz.tools.scrape import ScrapeError
from tests.cli.test_stats import answering


def test_a_page_is_returned_byte_for_byte():
    with answering(body=b"up 1\n\xff") as url:
        assert b"up 1\n\xff" == scrape.scrape(url)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": 500, "body": b"CANARY"}, "answered 500"),
        ({"status": 302, "headers": [("location", "http://127.0.0.1:1/CANARY")]}, "answered 302"),
        ({"body": b"CANARY" * 10}, "longer than 50 bytes"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_that_repeats_nothing_of_it(monkeypatch, answer, expected):
    monkeypatch.setattr(scrape, "MAX_BYTES", 50)
    with answering(**answer) as url, pytest.raises(ScrapeError, match=expected) as caught:
        scrape.scrape(url)

    assert "CANARY" not in str(caught.value)


def test_an_answer_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(scrape, "SECONDS", 0.2)
    with (
        answering(pause=threading.Event()) as url,
        pytest.raises(ScrapeError, match=r"no answer within 0\.2 s"),
    ):
        scrape.scrape(url)


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    with answering(body=b"up 1\n") as url:
        assert b"up 1\n" == scrape.scrape(url)
