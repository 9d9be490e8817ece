"""A real server whose spool can't be written, or is taken away, for a while.

Run in a mount namespace, without root's right to write everywhere:
unshare --map-root-user --mount setpriv --bounding-set=-dac_override,-dac_read_search python -m ... DIRECTORY.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from tests.faults.full_disk import over_grpc, post
from tests.support.otlp import request, span
from tests.support.serve import Serve

_NOT_WRITABLE = 0o500
_SECONDS = 30


def _shut(spool: Path) -> None:
    (spool / "0").chmod(_NOT_WRITABLE)


def _open(spool: Path) -> None:
    (spool / "0").chmod(0o700)


def _remove(spool: Path) -> None:
    """Take it away at once, though the receiver may be writing in it."""
    taken = spool.rename(spool.with_name("taken"))
    shutil.rmtree(taken)


def _replace_by_file(spool: Path) -> None:
    """Put a file there before the receiver has made a directory again."""
    while not spool.is_file():
        _remove(spool)
        with contextlib.suppress(FileExistsError):
            spool.touch(exist_ok=False)


def _replace_by_directory(spool: Path) -> None:
    spool.unlink()
    spool.mkdir(exist_ok=True)


def _mount_read_only(spool: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(spool)], check=True)


def _unmount(spool: Path) -> None:
    subprocess.run(["umount", str(spool)], check=True)


def _remove_for_good(spool: Path) -> None:
    """Hide it and shut its parent in one step, before the receiver can make it again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={_NOT_WRITABLE:o}", "none", str(spool.parent)], check=True)


def _let_it_be_made(spool: Path) -> None:
    spool.parent.chmod(0o700)


def _remove_and_make(spool: Path) -> None:
    _remove(spool)
    spool.mkdir(exist_ok=True)


UNWRITABLE: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "permissions": (_shut, _open),
    "a file in its place": (_replace_by_file, _replace_by_directory),
    "mounted read-only": (_mount_read_only, _unmount),
    "gone, and its parent shut": (_remove_for_good, _let_it_be_made),
}
REMOVED: dict[str, Callable[[Path], None]] = {"removed": _remove, "removed and made": _remove_and_make}


def ready(serve: Serve) -> tuple[int, str, str]:
    """Ask both health checks: the status and words of /readyz, and the status of gRPC's."""
    connection = http.client.HTTPConnection(serve.http, timeout=60)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    words = json.loads(response.read())["not_ready"].get("spool", "")
    connection.close()
    with grpc.insecure_channel(serve.grpc) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        status = HealthCheckResponse.FromString(check(b"", timeout=60)).status
    return response.status, words, HealthCheckResponse.ServingStatus.Name(status)


def wait(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


class Sender:
    """Sends requests of one span, and remembers those acknowledged."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._sent = 0
        self.acknowledged: list[str] = []

    def send(self) -> int:
        self._sent += 1
        name = f"span {self._sent}"
        status, _ = post(self._serve, request([span(name)]).SerializeToString())
        if status == 200:
            self.acknowledged.append(name)
        return status


def main() -> None:
    directory = Path(sys.argv[1])
    spool = directory / "spools" / "spool"
    spool.parent.mkdir()
    found: dict[str, object] = {}
    with Serve(directory, "--spool", str(spool)) as serve:
        sender = Sender(serve)
        sender.send()
        serve.drained()
        before = {name: (spool / name).read_text() for name in ("store", "identity")}
        for name, (take_away, give_back) in UNWRITABLE.items():
            take_away(spool)
            wait(lambda: sender.send() == 503)
            wait(lambda: ready(serve)[0] == 503)
            seen = [*ready(serve), over_grpc(serve, request([span("refused")]).SerializeToString())[0]]
            give_back(spool)
            wait(lambda: ready(serve)[0] == 200)  # nobody sends
            found[name] = [*seen, ready(serve)[2], sender.send()]
            serve.drained()
        for name, remove in REMOVED.items():
            remove(spool)
            wait(lambda: sender.send() == 200)
            found[name] = [*ready(serve)]
            wait((spool / "identity").exists)
            serve.drained()
        found["kept"] = {name: (spool / name).read_text() for name in before} == before
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        rows = client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName").result_rows
        client.close()
        found["stored"] = {str(name): int(times) for name, times in rows} == dict.fromkeys(sender.acknowledged, 1)
        found["log"] = serve.log.read_text()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
