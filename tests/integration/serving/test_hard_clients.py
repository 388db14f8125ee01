"""Clients that send too much, too slowly, nothing or go away; and a server that is full or ends."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from served_toys import client_of, server_of, toy_glm

from unblank.serving.engine import CallTask

LONG = {"text": "the cat [MASK] on a mat", "min_tokens": 100, "max_tokens": 100}


@pytest.fixture(scope="module")
def models():
    return {"toy": toy_glm()}


@pytest.fixture(scope="module")
def server(models):
    with server_of(models=models, max_body=10_000, body_seconds=1.0, max_waiting=8) as server:
        yield server


@contextmanager
def connected(server):
    address = urlsplit(server[0])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        yield connection


def head_of(path, length, *more):
    lines = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def all_of(connection):
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def is_idle(service):
    end = time.monotonic() + 20
    while not service.is_idle:
        assert time.monotonic() < end
        time.sleep(0.005)
    return True


def works(server):
    return httpx.post(f"{server[0]}/v1/fill", json={"text": "a [MASK]"}).status_code == 200


@contextmanager
def held(service):
    """Keep the engine busy within the block."""
    begun, go = threading.Event(), threading.Event()
    engine = service.models["toy"].engine
    engine.submit([CallTask(lambda: (begun.set(), go.wait(30)), lambda result: None)])
    assert begun.wait(30)
    try:
        yield engine
    finally:
        go.set()


def test_a_hundred_megabytes_are_refused_before_they_are_read(server):
    with connected(server) as connection:
        connection.sendall(head_of("/v1/fill", 100 * 2**20))
        received = all_of(connection)
    assert received.startswith(b"HTTP/1.1 413")
    assert b"10,000 bytes" in received


def test_a_body_of_unknown_length_is_refused_where_it_becomes_too_large(server):
    with connected(server) as connection:
        head = head_of("/v1/fill", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        connection.sendall(head + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 3)
        assert all_of(connection).startswith(b"HTTP/1.1 413")
    assert works(server)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"text": ', 400),
        (b"\xff\xfe", 400),
        (b"[" * 9000, 400),
        (b"", 422),
        (b"null", 422),
        (b'{"text": "\\ud800 [MASK]"}', 422),
        (b'{"text": "a [MASK]", "\\ud800": 1}', 422),
        (b'{"text": "a [MASK]", "max_tokens": 1e400}', 422),
        (b'{"text": "a [MASK]", "max_tokens": NaN}', 400),
    ],
)
def test_a_broken_body_is_refused_without_a_word_about_us(server, body, status):
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{server[0]}/v1/fill", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    for word in ("Traceback", "site-packages", "/unblank/", ".py"):
        assert word not in response.text


def test_a_slow_body_is_given_up(server):
    with connected(server) as connection:
        connection.sendall(head_of("/v1/fill", 100) + b"{")
        assert all_of(connection).startswith(b"HTTP/1.1 408")


def test_who_goes_away_frees_the_place(server):
    body = json.dumps(LONG).encode()
    with held(server[1]) as engine, connected(server) as connection:
        connection.sendall(head_of("/v1/fill", len(body)) + body)
        while not engine._waiting:
            time.sleep(0.005)
        connection.close()
        while engine._waiting:
            time.sleep(0.005)
    assert is_idle(server[1])


def test_who_leaves_a_stream_frees_the_place_within_a_step(server, monkeypatch):
    from unblank.generation.rows import Rows

    slow_step = Rows.step

    def step(rows, *given):
        time.sleep(0.05)
        return slow_step(rows, *given)

    monkeypatch.setattr(Rows, "step", step)
    figures = server[1].models["toy"].engine.figures
    before = figures.tokens
    with httpx.stream("POST", f"{server[0]}/v1/fill", json=LONG | {"stream": True}) as response:
        next(response.iter_lines())
    assert is_idle(server[1])
    assert figures.tokens - before < 60  # of 100


def test_a_half_closed_connection_does_no_harm(server):
    body = json.dumps(LONG).encode()
    with connected(server) as connection:
        connection.sendall(head_of("/v1/fill", len(body)) + body)
        connection.shutdown(socket.SHUT_WR)
        received = all_of(connection)
    assert received == b"" or received.startswith(b"HTTP/1.1 200")
    assert is_idle(server[1])
    assert works(server)


def test_what_is_no_http_does_no_harm(server):
    with connected(server) as connection:
        connection.sendall(b"\x16\x03\x01\x00\xff garbage\r\n\r\n")
        assert b"400" in all_of(connection)
    assert works(server)


def test_a_full_server_says_when_to_come_again(server):
    with held(server[1]) as engine:
        engine.submit([CallTask(int, lambda result: None) for _ in range(8)])
        response = httpx.post(f"{server[0]}/v1/fill", json={"text": "a [MASK]"})
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) >= 1
        many = httpx.post(f"{server[0]}/v1/fill", json={"text": ["a [MASK]"] * 9})
        assert many.status_code == 422
    assert is_idle(server[1])
    assert works(server)


def test_a_request_ends_at_its_time_limit(models):
    with server_of(models=models, time_limit=0.2) as server:
        with held(server[1]):
            response = httpx.post(f"{server[0]}/v1/fill", json={"text": "a [MASK]"})
            assert response.status_code == 504
            streamed = {"text": "a [MASK]", "stream": True}
            assert "0.2 s" in httpx.post(f"{server[0]}/v1/fill", json=streamed).text
        assert is_idle(server[1])


def test_a_server_that_ends_takes_nothing_new(models):
    with client_of(models=models) as client:
        assert client.get("/ready").status_code == 200
        client.service.drain()
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        response = client.post("/v1/fill", json={"text": "a [MASK]"})
        assert response.status_code == 503
        assert response.headers["Retry-After"]
        assert response.json()["error"]["type"] == "server_error"


def test_a_key_opens_all_but_what_says_nothing(models):
    with client_of(models=models, api_key="secret") as client:
        right, wrong = {"Authorization": "Bearer secret"}, {"Authorization": "Bearer secre"}
        for path in ("/v1/models", "/metrics"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=wrong).status_code == 401
            assert client.get(path, headers=right).status_code == 200
        assert client.post("/v1/fill", json={"text": "a [MASK]"}).status_code == 401
        for path in ("/health", "/ready", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_pages_of_other_origins_may_call_only_if_they_are_named(models):
    ask = {"Origin": "https://a.org", "Access-Control-Request-Method": "POST"}
    with client_of(models=models) as client:
        given = client.get("/v1/models", headers={"Origin": "https://a.org"})
        assert "access-control-allow-origin" not in given.headers
        assert client.options("/v1/fill", headers=ask).status_code == 405
    with client_of(models=models, origins=["https://a.org"]) as client:
        allowed = client.options("/v1/fill", headers=ask)
        assert allowed.headers["access-control-allow-origin"] == "https://a.org"
        refused = client.options("/v1/fill", headers=ask | {"Origin": "https://b.org"})
        assert "access-control-allow-origin" not in refused.headers


def test_a_page_of_an_origin_that_is_named_can_read_why_it_is_refused(models):
    origin = {"Origin": "https://a.org"}
    with client_of(models=models, origins=[origin["Origin"]], api_key="secret") as client:
        ask = origin | {"Access-Control-Request-Method": "POST"}
        assert client.options("/v1/fill", headers=ask).status_code == 200
        refused = client.post("/v1/fill", json={"text": "a [MASK]"}, headers=origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin["Origin"]


def test_a_failure_says_nothing_about_us(models, monkeypatch):
    def fail(*given, **more):
        raise RuntimeError("/srv/secret.py line 3")

    monkeypatch.setattr("unblank.generation.infill.Filler.read", fail)
    with client_of(models=models) as client:
        response = client.post("/v1/fill", json={"text": "a [MASK]"})
    assert response.status_code == 500
    assert "secret" not in response.text


def test_figures_for_prometheus_count_what_was_done(models):
    with client_of(models=models) as client:
        client.post("/v1/fill", json={"text": "a [MASK]", "min_tokens": 4, "max_tokens": 4})
        client.get("/v1/unknown/path")
        text = client.get("/metrics").text
    assert 'unblank_requests_total{path="/v1/fill",status="200"} 1.0' in text
    assert 'unblank_requests_total{path="other",status="404"} 1.0' in text
    assert 'unblank_engine_tokens_total{model="toy"} 4.0' in text


def test_the_page_of_documentation_needs_no_network(models):
    with client_of(models=models) as client:
        page, document = client.get("/docs").text, client.get("/openapi.json").json()
    assert "<script" not in page
    assert "https://" not in page
    for path in document["paths"]:
        assert path in page
    assert "curl" in page
