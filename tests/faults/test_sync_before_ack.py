"""The system calls of a real server: an acknowledgement leaves after the sync that holds its request, a segment goes after the store's sync."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.test_resent_requests import post
from tests.support.otlp import request, span
from tests.support.serve import Serve

CLIENTS, REQUESTS = 6, 15
_CALL = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)")

_UNFINISHED = " <unfinished ...>"


@dataclass
class Call:
    """A system call: the lines of the log at which it began and ended."""

    name: str
    text: str
    began: int
    ended: int = -1


def calls(log: str) -> list[Call]:
    """Those that succeeded, by the time at which they ended."""
    under_way: dict[str, Call] = {}
    done: list[Call] = []
    for number, line in enumerate(log.splitlines()):
        matched = _CALL.match(line)
        if matched is None:
            continue
        if matched["resumed"]:
            call = under_way.pop(matched["pid"])
            call.text += matched["rest"]
        else:
            call = Call(matched["name"], matched["rest"], number)
        if line.endswith(_UNFINISHED):
            call.text = call.text.removesuffix(_UNFINISHED)
            under_way[matched["pid"]] = call
        elif re.search(r"= \d+", call.text.rpartition(")")[2]):
            call.ended = number
            done.append(call)
    return done


def traced(serve: Serve, log: Path) -> list[Call]:
    """What the server calls while clients send and until everything is stored."""
    wanted = "trace=write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,rename,unlink"
    strace = subprocess.Popen(["strace", "-f", "-y", "-s", "40", "-e", wanted, "-o", str(log), "-p", str(serve.process.pid)], stderr=subprocess.PIPE)
    assert strace.stderr is not None
    assert b"attached" in strace.stderr.readline()

    def send(client: int) -> None:
        for number in range(REQUESTS):
            assert post(serve, request([span(f"{client}-{number}")]).SerializeToString()) == b""

    clients = [threading.Thread(target=send, args=(client,)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(100)
    serve.stored()
    deadline = time.monotonic() + 30
    while "unlink(" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    strace.terminate()
    strace.communicate(timeout=30)
    return calls(log.read_text())


def test_the_disk_has_a_request_before_its_acknowledgement_leaves(tmp_path: Path) -> None:
    with Serve(tmp_path) as serve:
        seen = traced(serve, tmp_path / "calls")
        spool = re.escape(str(serve.spool))
        store = re.escape(str(tmp_path / "store"))
    written = durable = acknowledged = syncs = removed = 0
    syncs_of_store = 0
    pending: list[tuple[int, int]] = []
    for call in seen:
        if call.name == "writev" and re.match(rf"\d+<{spool}/0/\d+\.open>", call.text):
            # Two buffers a record: its header and the request.
            (buffers,) = re.findall(r"\], (\d+)\) += \d+$", call.text)
            written += int(buffers) // 2
            pending.append((call.ended, written))
        elif call.name == "fdatasync" and re.match(rf"\d+<{spool}/0/\d+\.open>", call.text):
            syncs += 1
            durable = max([durable, *(count for ended, count in pending if ended < call.began)])
        elif call.name in {"write", "writev", "sendto", "sendmsg"} and "HTTP/1.1 200" in call.text:
            acknowledged += 1
            assert acknowledged <= durable, call
        elif call.name in {"fsync", "fdatasync"} and re.match(rf"\d+<{store}/", call.text):
            syncs_of_store += 1
        elif call.name == "unlink" and re.match(rf'"{spool}/0/\d+\.sealed"', call.text):
            removed += 1
            assert syncs_of_store, "a segment was removed before the store was synced"
            syncs_of_store = 0
    assert acknowledged == written == CLIENTS * REQUESTS
    assert removed
    assert syncs < acknowledged, "requests that wait share a sync"
