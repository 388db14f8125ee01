"""The endpoints answer as the library does when it is called alone."""

import json

import pytest
from served_toys import client_of

from unblank.prompting.task_files import load_task
from unblank.serving import response_examples
from unblank.serving.opening import open_tasks


@pytest.fixture(scope="module")
def client():
    with client_of() as client:
        yield client


@pytest.fixture(scope="module")
def toy(client):
    return client.service.models["toy"].unblank


TEXTS = ["the cat [MASK] on a mat", "Maybe [MASK] is true, [MASK] or bad?", "so the dog [gMASK]"]


def assert_alike(given, expected):
    """Equal in all but the last digits of numbers."""
    if isinstance(expected, dict):
        assert given.keys() == expected.keys()
        for name in expected:
            assert_alike(given[name], expected[name])
    elif isinstance(expected, list | tuple):
        assert len(given) == len(expected)
        for one, other in zip(given, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert given == pytest.approx(expected, abs=1e-4)
    else:
        assert given == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"do_sample": True, "seed": 5, "num_return": 3, "top_k": 20},
        {"num_beams": 3, "num_return": 2, "max_tokens": 6},
        {"order": [1, 0], "max_tokens": 5, "min_tokens": 2, "num_alternatives": 2},
    ],
)
def test_fill_is_that_of_the_library(client, toy, options):
    text = TEXTS[1]
    response = client.post("/v1/fill", json={"text": text, **options})
    assert response.status_code == 200
    assert_alike(response.json(), toy.fill(text, **options).to_dict())


def test_several_texts_are_filled_in_their_order(client, toy):
    found = client.post("/v1/fill", json={"text": TEXTS, "max_tokens": 7}).json()["results"]
    assert_alike(found, [one.to_dict() for one in toy.fill(TEXTS, max_tokens=7)])


def test_answers_of_both_kinds_of_models_are_those_of_the_library(client):
    for name, source in [("toy", "the cat sat"), ("de", "one two three")]:
        unblank = client.service.models[name].unblank
        for options in ({}, {"num_beams": 2}, {"do_sample": True, "seed": 2}):
            body = {"model": name, "source": source, "max_tokens": 9, **options}
            found = client.post("/v1/generate", json=body).json()
            assert_alike(found, unblank.generate(source, max_tokens=9, **options).to_dict())


def test_scores_are_those_of_the_library(client, toy):
    body = {"text": TEXTS[0], "candidates": ["sat", "ran so"], "normalization": "mean"}
    found = client.post("/v1/score", json=body).json()
    assert_alike(found, toy.score(TEXTS[0], ["sat", "ran so"], normalization="mean").to_dict())


def test_scores_over_passages_are_those_of_the_library(client, toy):
    given, passages = ["sat", "ran so"], ["the cat ran", "a dog sat"]
    body = {"text": TEXTS[0], "candidates": given, "passages": passages}
    found = client.post("/v1/score", json=body).json()
    assert_alike(found, toy.score(TEXTS[0], given, passages=passages).to_dict())


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return": 2, "max_tokens": 4}])
def test_a_fill_over_passages_is_that_of_the_library(client, toy, options):
    passages = ["the cat ran", "a dog sat"]
    response = client.post("/v1/fill", json={"text": TEXTS[0], "passages": passages, **options})
    assert response.status_code == 200
    assert_alike(response.json(), toy.fill(TEXTS[0], passages=passages, **options).to_dict())


def test_a_task_of_its_own_is_asked_by_its_name(tmp_path):
    path = tmp_path / "tone.yaml"
    path.write_text("verbalizer: {up: so, down: bad}\npatterns: ['{text} [MASK].']\n")
    with client_of(tasks=open_tasks({"tone": path})) as client:
        toy = client.service.models["toy"].unblank
        answer = {"task": "tone", "inputs": {"text": "the cat"}}
        (found,) = client.post("/v1/classify", json=answer).json()["predictions"]
        names = client.get("/openapi.json").text
        unknown = client.post("/v1/classify", json={**answer, "task": "tones"})
    scores = toy.score("the cat [MASK].", ["so", "bad"])
    shares = [one.share for one in scores.candidates]
    assert list(found["probabilities"].values()) == pytest.approx(shares, abs=1e-4)
    assert '"tone"' in names
    assert unknown.status_code == 422


def test_a_task_of_the_library_is_everybodys_also_if_a_model_was_tuned_on_it():
    with client_of(own_tasks={"de": load_task("sst2")}) as client:
        body = {"model": "toy", "task": "sst2", "inputs": {"sentence": "so bad"}}
        assert client.post("/v1/classify", json=body).status_code == 200


def test_a_task_has_the_name_that_the_server_was_given_for_it(tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text("verbalizer: {up: so, down: bad}\npatterns: ['{text} [MASK].']\n")
    assert open_tasks({"tone": path})["tone"].name == "tone"


def test_a_task_is_chosen_by_its_name(client):
    body = {"task": "sst2", "inputs": [{"sentence": "the cat ran"}, {"sentence": "so bad"}]}
    found = client.post("/v1/classify", json=body).json()
    assert len(found["predictions"]) == 2
    for one in found["predictions"]:
        assert set(one["probabilities"]) == {"0", "1"}
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert one["predicted"] == max(one["probabilities"], key=one["probabilities"].get)


def events_of(response):
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_stream_gives_every_token_and_then_the_result(client, toy):
    body = {"text": TEXTS[1], "max_tokens": 5, "stream": True}
    *tokens, result = events_of(client.post("/v1/fill", json=body))
    plain = toy.fill(TEXTS[1], max_tokens=5)
    assert_alike(result, plain.to_dict())
    for number, blank in enumerate(plain.blanks):
        of_blank = [one for one in tokens if one["blank"] == number and not one["is_end"]]
        assert [one["token_id"] for one in of_blank] == list(blank.token_ids)


def test_an_answer_is_streamed(client):
    body = {"model": "de", "source": "one two", "max_tokens": 4, "stream": True}
    *tokens, result = events_of(client.post("/v1/generate", json=body))
    assert [one["token_id"] for one in tokens if not one["is_end"]] == result["token_ids"]


def test_models_say_what_they_can(client):
    found = {one["id"]: one["can"] for one in client.get("/v1/models").json()["data"]}
    assert "fill" in found["toy"]
    assert "fill" not in found["de"]


def shape_of(value):
    if isinstance(value, dict):
        return set(value)
    return [shape_of(value[0])] if isinstance(value, list) and value else type(value)


def test_examples_in_the_documentation_have_the_shape_of_real_answers(client):
    real = {
        "MODELS": client.get("/v1/models"),
        "FILLED": client.post("/v1/fill", json={"text": TEXTS[0], "num_alternatives": 2}),
        "GENERATED": client.post("/v1/generate", json={"source": "a cat"}),
        "SCORED": client.post("/v1/score", json={"text": TEXTS[0], "candidates": ["sat"]}),
        "CLASSIFIED": client.post(
            "/v1/classify", json={"task": "sst2", "inputs": {"sentence": "so"}}
        ),
        "COMPLETED": client.post("/v1/completions", json={"prompt": "a cat"}),
        "INFILLED": client.post("/infill", json={"input_prefix": "a cat"}),
    }
    for name, response in real.items():
        example = getattr(response_examples, name)
        assert set(response.json()) == set(example), name
        for field, value in example.items():
            assert shape_of(response.json()[field]) == shape_of(value), (name, field)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/fill", {"text": "no blank"}, 422, "no blank"),
        ("/v1/fill", {"text": "[MASK]", "temperature": 2.0}, 422, "do_sample"),
        ("/v1/fill", {"text": "[MASK]", "beams": 2}, 422, "beams"),
        ("/v1/fill", {"text": "[MASK]", "model": "other"}, 404, "toy, de"),
        ("/v1/fill", {"text": "[MASK] a", "model": "de"}, 422, "fills no blanks"),
        ("/v1/fill", {"text": ["[MASK]"], "stream": True}, 422, "one text"),
        ("/v1/fill", {"text": "[MASK]", "num_beams": 2, "stream": True}, 422, "streamed"),
        ("/v1/fill", {"text": "cat " * 500 + "[MASK]"}, 422, "160 positions"),
        ("/v1/score", {"text": "[MASK]", "candidates": ["a", "a"]}, 422, "same tokens"),
        ("/v1/fill", {"text": "[MASK]", "passages": ["a"], "rules": ["words=1"]}, 422, "rules"),
        ("/v1/fill", {"text": ["[MASK]"], "passages": ["a"]}, 422, "one text"),
        ("/v1/fill", {"text": "[MASK] [MASK]", "passages": ["a"]}, 422, "2 blanks"),
        ("/v1/score", {"text": "[MASK]", "candidates": ["a"], "passages": []}, 422, "passages"),
        ("/v1/score", {"text": "[MASK]", "candidates": ["a"], "passages": [" "]}, 422, "empty"),
        ("/v1/classify", {"task": "sst2", "inputs": {"text": "a"}}, 422, "sentence"),
        ("/v1/classify", {"inputs": {"text": "a"}}, 422, "not tuned"),
        ("/v1/classify", {"task": "../../secret", "inputs": {}}, 422, "task"),
        ("/v1/completions", {"prompt": "a", "presence_penalty": 1.0}, 422, "presence_penalty"),
        ("/v1/completions", {"prompt": "a [MASK]", "suffix": "b"}, 422, "blank"),
        ("/v1/nothing", {}, 404, "/docs"),
        ("/v1/models", {}, 405, "POST /v1/models"),
    ],
)
def test_what_cannot_be_done_is_said(client, path, body, status, said):
    response = client.post(path, json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert said in error["message"]
    assert "Traceback" not in response.text
    assert "/src/" not in response.text


@pytest.mark.parametrize(
    ("body", "said", "param"),
    [
        ({"prompt": "a", "stop": [""]}, "at least 1 character", "stop.0"),
        ({"prompt": "a", "stop": 5}, "valid string", "stop"),
        ({"prompt": ["a", 5]}, "valid string", "prompt.1"),
        ({"prompt": "a", "not-a-field": 5}, "no such field", "not-a-field"),
        ({"text": "a [MASK]", "rules": [{"words": "two"}]}, "valid integer", "rules.0.words"),
        ({"text": "a [MASK]", "rules": [{"choices": ["a", 5]}]}, "string", "rules.0.choices.1"),
        ({}, "required", "text"),
    ],
)
def test_a_refusal_names_the_place_in_the_words_of_the_request(client, body, said, param):
    """A field of several forms is told in the form that fits furthest, without its type's name."""
    path = "/v1/completions" if "prompt" in body else "/v1/fill"
    response = client.post(path, json=body)
    error = response.json()["error"]
    assert response.status_code == 422
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")
    assert said in error["message"]


NO_JSON = [
    *(b'{"text": "\xff [MASK]"}', b"[" * 100_000, b'{"text": "a'),
    *(b'{"text": "a [MASK]", "temperature": NaN}', b'{"text": "a [MASK]", "seed": Infinity}'),
    b'{"text": "a [MASK]", "unknown": [-Infinity]}',
]


@pytest.mark.parametrize("content", NO_JSON)
def test_a_body_that_is_no_json_is_called_so(client, content):
    response = client.post(
        "/v1/fill", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert "not valid JSON" in response.json()["error"]["message"]


def test_a_header_of_json_is_known_in_any_case(client):
    response = client.post("/v1/fill", content=b"[1]", headers={"content-type": "Application/JSON"})
    assert response.status_code == 422
    assert "Content-Type" not in response.json()["error"]["message"]


def test_json_without_its_header_is_told_which_header_it_needs(client):
    """What curl sends with -d alone."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = client.post("/v1/fill", content=b'{"text": "a [MASK]"}', headers=form)
    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["error"]["message"]
