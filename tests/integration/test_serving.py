"""A server in a process of its own: signals, kills, restarts, fuzzed calls, and its memory."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from served_toys import toy_glm, toy_translator
from tiny_glms import write_folder

pytestmark = pytest.mark.slow

CALLS = 2000
"""Fuzzed calls, of all endpoints together."""

LONG = {"text": "the cat [MASK] on a mat", "min_tokens": 150, "max_tokens": 150}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    glm = write_folder(toy_glm(), root / "toy")
    return [str(glm), f"{write_folder(toy_translator(), root / 'deltalm')}=de"]


class Server:
    """A running server; it is ended by its id."""

    def __init__(self, folders, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "unblank", "serve", *folders, "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.process.communicate()[1]
        self.url = found.group()

    @property
    def worker(self) -> int:
        """The process that works; the first one watches over it."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(path.read_text().split()[0])

    def end(self, number=signal.SIGTERM) -> tuple[int, str]:
        """Return the exit status and what was said."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@contextmanager
def running(folders, *options):
    server = Server(folders, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture(scope="module")
def server(folders):
    with running(folders) as server:
        yield server


def fill(url, **body):
    return httpx.post(f"{url}/v1/fill", json={"text": "a [MASK]"} | body, timeout=100)


def test_the_client_of_openai_works_with_the_process(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        stream = client.completions.create(model="toy", prompt="the cat", stream=True, seed=1)
        assert any(chunk.choices[0].finish_reason for chunk in stream)


def test_no_call_that_fits_the_document_or_not_makes_the_server_fail(server):
    import schemathesis  # it takes a second, and this test is slow

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    statuses = Counter()
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    posted = [one for one in operations if one.method == "post"]
    for operation in operations:
        for mode in modes if operation in posted else modes[:1]:
            examples = -(-CALLS // (2 * len(posted))) if operation in posted else 10

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def call(case):
                response = case.call(timeout=60)
                statuses[response.status_code] += 1
                assert response.status_code < 500, (case.as_curl_command(), response.text)
                if "json" in response.headers["content-type"]:
                    json.loads(response.text)

            call()
    assert sum(statuses.values()) >= CALLS, statuses
    assert statuses[200] > 100, statuses
    assert fill(server.url).status_code == 200


def test_at_sigterm_what_runs_is_finished_and_new_work_refused(folders):
    with running(folders, "--grace", "100") as server:
        texts = [LONG["text"]] * 6
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(fill, server.url, **LONG | {"text": texts, "num_beams": 2})
            while 'rows{model="toy"} 0.0' in httpx.get(f"{server.url}/metrics").text:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            refused = 200
            while refused == 200:
                refused = fill(server.url, max_tokens=1).status_code
            assert refused == 503
            assert httpx.get(f"{server.url}/ready").status_code == 503
            assert len(answer.result().json()["results"]) == 6
        assert server.process.wait(60) == 0
        assert server.process.stderr.read() == ""


def test_the_time_of_grace_is_kept(folders):
    with running(folders, "--grace", "0.5") as server:
        body = LONG | {"text": [LONG["text"]] * 250, "num_beams": 8}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(fill, server.url, **body)
            while 'rows{model="toy"} 0.0' in httpx.get(f"{server.url}/metrics").text:
                time.sleep(0.01)
            start = time.monotonic()
            assert server.end()[0] == 0
            assert time.monotonic() - start < 30
            assert answer.result().status_code == 503


def test_after_a_kill_the_server_starts_again_at_the_same_port(folders):
    with running(folders) as server, httpx.Client() as client:
        port = server.url.rpartition(":")[2]
        assert client.get(f"{server.url}/health").status_code == 200
        os.kill(server.worker, signal.SIGKILL)
        assert server.process.wait(60) == 128 + signal.SIGKILL
        with running(folders, "--port", port) as again:
            assert again.url == server.url
            assert fill(again.url).status_code == 200


def test_a_port_in_use_and_a_missing_model_are_said(folders, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (["--port", port, folders[0]], [str(tmp_path / "none"), "--port", "0"]):
            command = [sys.executable, "-m", "unblank", "serve", *words]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 2
            assert "Traceback" not in done.stderr
            assert (port in done.stderr) or ("none" in done.stderr)


def resident_bytes(process: int) -> int:
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_memory_stays_flat_far_beyond_capacity(folders):
    """`UNBLANK_LOAD_SECONDS` says for how long; the requests are four times what may wait."""
    seconds = float(os.environ.get("UNBLANK_LOAD_SECONDS", "20"))
    statuses, sizes, stop = Counter(), [], threading.Event()
    with running(folders, "--max-waiting", "8", "--cache-tokens", "2000") as server:

        def ask(number):
            with httpx.Client(timeout=60) as client:
                while not stop.is_set():
                    body = LONG | {"text": "so the dog [MASK] " * (1 + number % 5)}
                    body |= {"min_tokens": 20, "max_tokens": 20}
                    response = client.post(f"{server.url}/v1/fill", json=body)
                    statuses[response.status_code] += 1

        with ThreadPoolExecutor(40) as pool:
            clients = [pool.submit(ask, number) for number in range(40)]
            for _ in range(20):
                time.sleep(seconds / 20)
                sizes.append(resident_bytes(server.worker))
            stop.set()
        for client in clients:
            client.result()
        assert server.end()[0] == 0
    print(f"resident megabytes: {[size >> 20 for size in sizes]}, answers: {dict(statuses)}")
    assert set(statuses) == {200, 429}, statuses
    assert max(sizes[10:]) < 1.03 * max(sizes[5:10]), sizes
