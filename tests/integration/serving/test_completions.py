"""Completions, as OpenAI's own client sees them, and the shape of llama.cpp's infill."""

import json
import re

import httpx
import openai
import pytest
from served_toys import server_of
from source_trees import SOURCE

from unblank.generation.prompts import splice
from unblank.serving.growing_text import GrowingText

REPOSITORY = SOURCE.parents[1]


@pytest.fixture(scope="module")
def server():
    with server_of() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server[0]}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def toy(server):
    return server[1].models["toy"].unblank


def test_the_client_lists_the_models(client):
    assert [model.id for model in client.models.list()] == ["toy", "de"]


def test_a_greedy_completion_is_what_the_library_writes_behind_the_prompt(client, toy):
    found = client.completions.create(model="toy", prompt="the cat sat", temperature=0)
    expected = toy.generate("the cat sat", blank="[gMASK]", max_tokens=16)
    given = toy.tokenizer
    text, _ = splice(given, ("the cat sat", ""), [expected.token_ids])
    assert "the cat sat" + found.choices[0].text == text
    assert found.choices[0].finish_reason == ("stop" if expected.finished else "length")
    assert found.usage.completion_tokens == len(expected.token_ids)


def test_a_suffix_makes_it_infilling(client, toy):
    found = client.completions.create(
        model="toy", prompt="the cat", suffix=" on a mat", temperature=0, max_tokens=6, logprobs=2
    )
    filled = toy.fill("the cat[MASK] on a mat", max_tokens=6, num_alternatives=2)
    assert f"the cat{found.choices[0].text} on a mat" == filled.text
    logprobs, (blank,) = found.choices[0].logprobs, filled.blanks
    assert logprobs.token_logprobs == pytest.approx(list(blank.log_probabilities), abs=1e-4)
    assert len(logprobs.tokens) == len(logprobs.text_offset) == len(blank.token_ids)
    assert all(1 <= len(rivals) <= 2 for rivals in logprobs.top_logprobs)


def test_the_same_seed_draws_the_same_and_another_one_something_else(client):
    def drawn(seed):
        found = client.completions.create(
            model="toy", prompt="so the dog", n=3, seed=seed, max_tokens=12, temperature=1.2
        )
        return [choice.text for choice in found.choices]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 1


def test_several_prompts_have_their_answers_in_order(client):
    prompts = ["the cat", "so the dog ran", "Maybe"]
    found = client.completions.create(model="toy", prompt=prompts, n=2, temperature=0)
    assert [choice.index for choice in found.choices] == list(range(6))
    for number, prompt in enumerate(prompts):
        alone = client.completions.create(model="toy", prompt=prompt, temperature=0)
        for choice in found.choices[2 * number : 2 * number + 2]:
            assert choice.text == alone.choices[0].text


def test_the_prompt_is_echoed(client):
    options = {"model": "toy", "prompt": "the cat", "temperature": 0, "logprobs": 0}
    plain = client.completions.create(**options).choices[0]
    echoed = client.completions.create(**options, echo=True).choices[0]
    assert echoed.text == "the cat" + plain.text
    assert echoed.logprobs.text_offset == [7 + place for place in plain.logprobs.text_offset]


def whole_of(stream):
    texts, reasons, tokens = {}, {}, {}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            tokens.setdefault(choice.index, []).extend(
                choice.logprobs.token_logprobs if choice.logprobs else []
            )
            reasons[choice.index] = choice.finish_reason
    return texts, reasons, tokens


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0, "logprobs": 1},
        {"temperature": 1.1, "n": 3, "seed": 4, "max_tokens": 14},
        {"temperature": 0, "n": 2, "prompt": ["the cat", "so the"], "echo": True},
        {"model": "de", "prompt": "one two three", "temperature": 0},
    ],
)
def test_a_stream_adds_up_to_the_whole(client, options):
    given = {"model": "toy", "prompt": "the cat sat on", **options}
    whole = client.completions.create(**given)
    texts, reasons, tokens = whole_of(client.completions.create(**given, stream=True))
    assert sorted(texts.values()) == sorted(choice.text for choice in whole.choices)
    assert sorted(reasons.values()) == sorted(choice.finish_reason for choice in whole.choices)
    if "logprobs" in options:
        assert tokens[0] == pytest.approx(whole.choices[0].logprobs.token_logprobs, abs=1e-4)


def test_usage_comes_in_a_last_chunk_if_asked_for(client):
    options = {"model": "toy", "prompt": "the cat", "temperature": 0}
    *_, last = client.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage == client.completions.create(**options).usage


def test_an_answer_ends_before_a_stop_string(client):
    options = {"model": "toy", "prompt": "the cat sat", "temperature": 0, "max_tokens": 16}
    whole = client.completions.create(**options).choices[0].text
    stop = whole[len(whole) // 2 :][:2]
    found = client.completions.create(**options, stop=[stop, "never there"])
    assert found.choices[0].text == whole[: whole.index(stop)]
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.completion_tokens < 16
    streamed = {"stop": stop, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.completions.create(**options, **streamed)
    texts, reasons, _ = whole_of(chunks)
    assert (texts[0], reasons[0]) == (found.choices[0].text, "stop")
    assert last.usage == found.usage


def test_errors_are_those_of_the_client(client):
    with pytest.raises(openai.NotFoundError, match="toy, de"):
        client.completions.create(model="gpt", prompt="a")
    with pytest.raises(openai.UnprocessableEntityError, match="suffix"):
        client.completions.create(model="de", prompt="a", suffix="b")
    with pytest.raises(openai.UnprocessableEntityError, match="best_of"):
        client.completions.create(model="toy", prompt="a", best_of=3)


def test_text_is_sent_once_it_cannot_change():
    text = GrowingText(["STOP", "end"])
    sent = [text.more(part) for part in ("a", "a S", "a ST", "a Sa e", "a Sa end")]
    assert sent == ["a", " ", "", "Sa ", ""]
    text = GrowingText()
    assert [text.more("\ufffd"), text.more("\u00e4"), text.more("\u00e4b", is_whole=True)] == [
        "",
        "\u00e4",
        "b",
    ]


def post(server, **body):
    return httpx.post(f"{server[0]}/infill", json=body)


def test_infill_writes_at_the_cursor(server, toy):
    found = post(
        server, input_prefix="the cat", input_suffix=" on a mat", n_predict=6, cache_prompt=True
    ).json()
    filled = toy.fill("the cat[MASK] on a mat", max_tokens=6)
    assert f"the cat{found['content']} on a mat" == filled.text
    assert found["stop_type"] == ("eos" if filled.blanks[0].finished else "limit")


@pytest.mark.parametrize("stream", [False, True])
def test_infill_of_no_tokens_writes_nothing(server, stream):
    """Editors warm up a server so before they need it."""
    response = post(server, input_prefix="the cat", input_suffix=" on", n_predict=0, stream=stream)
    found = json.loads(response.text.removeprefix("data: "))
    assert (found["content"], found["tokens"], found["tokens_predicted"]) == ("", [], 0)
    assert (found["stop"], found["stop_type"]) == (True, "limit")
    assert found["tokens_evaluated"] > 0


def test_infill_streams(server):
    given = {"input_prefix": "the cat", "input_suffix": " on", "n_predict": 6}
    response = post(server, **given, stream=True)
    lines = [json.loads(line[6:]) for line in response.text.splitlines() if line]
    assert [line["stop"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "".join(line["content"] for line in lines) == post(server, **given).json()["content"]


def test_infill_reads_what_is_near_the_cursor(server):
    far, near = "so the dog ran " * 200, "the cat sat"
    found = post(server, input_prefix=far + near, input_suffix=" on a mat " * 300, n_predict=4)
    assert found.json()["truncated"]
    assert 120 < found.json()["tokens_evaluated"] <= 160
    assert not post(server, input_prefix=near, input_suffix=" on a").json()["truncated"]


def test_blanks_in_a_file_are_only_text(server):
    assert post(server, input_prefix="write [MASK] or", input_suffix=" [gMASK]").status_code == 200


def test_the_page_shows_requests_that_work(server, capsys):
    """docs/serving.md, with this server in place of its own."""
    page = (REPOSITORY / "docs" / "serving.md").read_text(encoding="utf-8")
    requests = re.findall(r"curl localhost:8000(\S+) .* -d '(.*)'", page)
    assert len(requests) == 4
    for path, body in requests:
        response = httpx.post(server[0] + path, json=json.loads(body))
        assert response.status_code == 200, response.text
    (block,) = re.findall(r"```text\n(from openai.*?)```", page, re.S)
    block = block.replace("http://127.0.0.1:8000", server[0]).replace('"mine"', '"toy"')
    exec(compile(block, "docs/serving.md", "exec"), {})
    assert capsys.readouterr().out.strip()
