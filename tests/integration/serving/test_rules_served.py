"""Rules over HTTP: what the library gives, for any requests at once, and bounded."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from served_toys import client_of, toy_glm, toy_translator

from unblank.serving import rule_work

TEXT = "Yes or No: the [MASK] sat on a [MASK]."


@pytest.fixture(scope="module")
def client():
    with client_of() as client:
        yield client


@pytest.fixture(scope="module")
def glm():
    return toy_glm()


def test_the_server_fills_as_the_library_does_whatever_else_it_decodes(client, glm):
    asked = [
        {"rules": ["0: words=2", {"blank": 1, "regex": "[a-z]+"}]},
        {"rules": []},
        {"rules": [{"choices": ["cat", "dog"]}], "do_sample": True, "seed": 3},
        {"rules": [{"characters": [2, 4], "excludes": ["a"]}], "num_beams": 3, "num_return": 2},
    ] * 3
    with ThreadPoolExecutor(6) as threads:
        bodies = [{"text": TEXT, "max_tokens": 12, **one} for one in asked]
        found = list(threads.map(lambda body: client.post("/v1/fill", json=body), bodies))
    for response, one in zip(found, asked, strict=True):
        assert response.status_code == 200, response.text
        expected = glm.fill(TEXT, max_tokens=12, **one)
        assert response.json()["text"] == expected.text
        assert [o["text"] for o in response.json()["alternatives"]] == [
            other.text for other in expected.alternatives
        ]


def test_streams_and_answers_to_sources_keep_rules(client, glm):
    rules = ["words=2", "regex=[a-z ]+"]
    body = {"text": "the [MASK]", "rules": rules, "stream": True}
    lines = client.post("/v1/fill", json=body).text.split("\n")
    found = json.loads(lines[-3].removeprefix("data: "))
    assert found["text"] == glm.fill("the [MASK]", rules=rules).text
    body = {"model": "de", "source": "the cat", "rules": rules}
    found = client.post("/v1/generate", json=body).json()
    assert found["text"] == toy_translator().generate("the cat", rules=rules).text


@pytest.mark.parametrize("model", ["toy", "de"])
def test_completions_keep_rules(client, model):
    body = {"model": model, "prompt": "the cat", "rules": ["regex=[a-z]{3} [a-z]+"], "logprobs": 3}
    choice = client.post("/v1/completions", json=body).json()["choices"][0]
    assert re.fullmatch("[a-z]{3} [a-z]+", choice["text"].lstrip(" "))
    assert all(None not in one.values() for one in choice["logprobs"]["top_logprobs"])
    refused = client.post("/v1/completions", json={**body, "stop": "a"})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    "rules",
    [
        ["regex=(.*a.{300}){9}"],
        ["regex=(a*)*b\\1"],
        ["regex=" + "(a|" * 400 + "b" + ")*" * 400],
        [{"choices": ["x" * 90_000, "y"], "regex": "(.*,){200}x"}],
        [{"contains": ["a"] * 60, "words": 100}],
        [{"characters": 10_000}],
        [{"tokens": [3, 2]}],
        [{"words": [1]}],
        [{"size": 3}],
        [{"script": "Latin}+|(.+)+{"}],
        [{"contains": ["\ud800"]}],
        ["choices=\ud800"],
        ["regex=\ud800"],
        ["regex=\x00*\ud800"],
        ["7: words=2"],
    ],
)
def test_rules_that_cannot_be_followed_are_refused_in_seconds(client, rules):
    start = time.process_time()
    body = json.dumps({"text": TEXT, "rules": rules, "max_tokens": 12})
    response = client.post("/v1/fill", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert response.json()["error"]["message"]
    assert time.process_time() - start < 8
    assert client.post("/v1/fill", json={"text": TEXT, "max_tokens": 2}).status_code == 200


def test_only_so_many_rules_are_made_ready_at_once(client, monkeypatch):
    monkeypatch.setattr(rule_work, "_MOST_WAITING", 0)
    response = client.post("/v1/fill", json={"text": TEXT, "rules": ["words=1"]})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) >= 0


def test_the_surest_blank_comes_first_over_http_too(client, glm):
    body = {"text": TEXT, "order": "confidence", "rules": ["0: words=2"], "max_tokens": 9}
    expected = glm.fill(TEXT, order="confidence", rules=["0: words=2"], max_tokens=9)
    assert client.post("/v1/fill", json=body).json()["text"] == expected.text
    lines = client.post("/v1/fill", json={**body, "stream": True}).text.split("\n")
    assert json.loads(lines[-3].removeprefix("data: "))["text"] == expected.text
