"""The logger of Weights & Biases online: against a server on this machine that answers as far as needed."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb

from snnlab.registry import build

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


class Server(ThreadingHTTPServer):
    """Keeps the runs that it is told of: the lines of their histories, and their summaries."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.runs: dict[str, dict[str, Any]] = {}
        self.status, self.ended = 200, list[int]()

    def answer(self, query: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL query."""
        owner = {"id": "p", "name": "snnlab", "entity": {"id": "e", "name": "me"}}
        if "RunResumeStatus" in query:
            known = given["name"] in self.runs
            return {"model": owner | {"bucket": self.bucket(given["name"], owner) if known else None}}
        if "UpsertBucket" in query:
            self.runs.setdefault(given["name"], {"history": [], "summary": "{}"})
            return {"upsertBucket": {"bucket": self.bucket(given["name"], owner), "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in given["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {}

    def bucket(self, name: str, owner: Mapping[str, Any]) -> dict[str, Any]:
        run = self.runs[name]
        return {
            "id": f"bucket {name}",
            "name": name,
            "project": owner,
            "config": "{}",
            "historyLineCount": len(run["history"]),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps(run["history"][-1:]),
            "eventsTail": "[]",
            "summaryMetrics": run["summary"],
            "wandbConfig": '{"t": 1}',
        }

    def stream(self, name: str, said: Mapping[str, Any]) -> None:
        """Take in new lines of a run's files."""
        files = said.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            self.runs[name]["history"][history["offset"] :] = history["content"]
        if summary := files.get("wandb-summary.json"):
            self.runs[name]["summary"] = summary["content"][-1]
        if said.get("complete"):
            self.ended.append(said["exitcode"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """HTTP for `Server`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        said = json.loads(body)
        if "query" in said:
            self.say({"data": self.server.answer(said["query"], said.get("variables") or {})})
            return
        self.server.stream(self.path.split("/")[4], said)  # /files/<entity>/<project>/<run>/file_stream
        self.say({})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.say({})

    def do_GET(self) -> None:
        self.say({})

    def say(self, answer: Mapping[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    with Server() as made:
        monkeypatch.setenv("WANDB_BASE_URL", made.url)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        wandb.teardown()
        made.shutdown()


def row(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "step": 20 * (epoch + 1), "train/loss": 1 / (epoch + 3)}


def log(folder: Path, before: int, epochs: range, status: str, *pictures: Path) -> None:
    """What a process of a run tells its logger: it goes on after `before` epochs."""
    logger = build("logger", "wandb", folder=str(folder))()
    logger.begin({"seed": 1}, [row(epoch) for epoch in range(before)])
    for epoch in epochs:
        logger.log_metrics(row(epoch), 20)
    logger.end(status, {"test/accuracy": 0.5} if status == "completed" else {}, pictures)


def rows(server: Server) -> list[dict[str, float]]:
    """The rows of the only run that the server knows."""
    (run,) = server.runs.values()
    lines = [json.loads(line) for line in run["history"]]
    assert [line["_step"] for line in lines] == sorted({line["_step"] for line in lines})
    numbers = [{name: value for name, value in line.items() if not name.startswith(("_", "plots/"))} for line in lines]
    return [line for line in numbers if line]


def test_a_run_that_was_killed_and_goes_on_is_one_run_with_each_row_once(server: Server, tmp_path: Path) -> None:
    log(tmp_path, 0, range(3), "interrupted")  # its last checkpoint is that of the second epoch
    log(tmp_path, 2, range(2, 4), "completed")
    assert rows(server) == [row(epoch) for epoch in range(4)]
    assert server.ended == [1, 0]
    (run,) = server.runs.values()
    assert json.loads(run["summary"])["test/accuracy"] == 0.5
    assert not list(tmp_path.glob("wandb/offline-run-*"))


def test_a_run_that_ended_and_goes_on_for_longer_keeps_all_rows(server: Server, tmp_path: Path) -> None:
    (tmp_path / "raster.png").write_bytes(PIXEL)
    log(tmp_path, 0, range(2), "completed", tmp_path / "raster.png")
    log(tmp_path, 2, range(2, 4), "completed", tmp_path / "raster.png")
    assert rows(server) == [row(epoch) for epoch in range(4)]


def test_rows_that_never_reached_the_server_are_sent_when_the_run_goes_on(server: Server, tmp_path: Path) -> None:
    log(tmp_path, 0, range(2), "interrupted")
    (run,) = server.runs.values()
    del run["history"][1:]  # what a kill took
    run["summary"] = '{"epoch": 0}'
    log(tmp_path, 2, range(2, 3), "completed")
    assert rows(server) == [row(0), row(1), row(2)]


def test_a_server_that_refuses_the_key_makes_a_run_offline(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "5")
    server.status = 401
    log(tmp_path, 0, range(2), "completed")
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    (record,) = [record for record in caplog.records if record.name == "snnlab"]
    assert (record.levelname, "401" in record.getMessage()) == ("WARNING", True)
