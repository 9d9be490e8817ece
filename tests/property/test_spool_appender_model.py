"""The log against a list: whatever crashes and damages come, what was acknowledged and not damaged is read, in order."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.spool import limits

from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool import open_segment
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.file_names import OPEN, SEALED
from spanhouse.exporter.spool.record import header, read

BODIES = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4)
# A client may send anything within a request, a segment of a spool, too.
NESTED = st.binary(min_size=1, max_size=50).map(lambda body: b"before" + header(body, 1, 1, 0) + body)
GROUPS = st.one_of(BODIES, st.lists(NESTED, min_size=1, max_size=2))


@dataclass(frozen=True)
class Written:
    """An acknowledged request and its place."""

    begin: int
    end: int
    body: bytes


class SpoolLogAgainstList(RuleBasedStateMachine):
    """``acknowledged`` is the model: by number of its segment, what stands in it."""

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="spanhouse-log-"))
        self.acknowledged: dict[str, list[Written]] = defaultdict(list)
        self.offered: set[bytes] = set()
        self.hit: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.open()

    def open(self) -> None:
        self.log = SpoolAppender.open(self.directory, 0, limits(segment_bytes=1500))

    def die(self) -> None:
        """Give up what the process held, as its death does; no seal, no close."""
        self.log._folder.close()
        if self.log._segment is not None:
            os.close(self.log._segment.descriptor)

    def teardown(self) -> None:
        self.die()
        shutil.rmtree(self.directory)

    @rule(group=GROUPS)
    def append(self, group: list[bytes]) -> None:
        self.offered.update(group)
        at = self.log._segment.size if self.log._segment else 0
        assert not any(self.log.append([CheckedRequest(body, 1) for body in group]))
        for body in group:
            end = at + len(header(body, 1, 0, at)) + len(body)
            self.acknowledged[f"{self.log._number:012}"].append(Written(at, end, body))
            at = end

    @rule(group=GROUPS, written=st.integers(0, 400), call=st.sampled_from(["write", "sync", "both"]))
    def append_to_a_failing_disk(self, group: list[bytes], written: int, call: str) -> None:
        """A write that ends early and goes on with an error, a sync that fails after everything was written."""
        self.offered.update(group)
        real_writev, real_write, real_sync = os.writev, os.write, open_segment.sync_data

        def writev(descriptor: int, buffers: list[bytes]) -> int:
            return real_write(descriptor, b"".join(buffers)[:written]) if call != "sync" else real_writev(descriptor, buffers)

        def write(descriptor: int, data: memoryview) -> int:
            raise OSError(28, "No space left on device")

        def sync(descriptor: int) -> None:
            if call != "write":
                raise OSError(5, "Input/output error")
            real_sync(descriptor)

        os.writev, os.write, open_segment.sync_data = writev, write, sync  # type: ignore[assignment]
        try:
            refused = self.log.append([CheckedRequest(body, 1) for body in group])
        finally:
            os.writev, os.write, open_segment.sync_data = real_writev, real_write, real_sync
        size = sum(len(header(body, 1, 0, 0)) + len(body) for body in group)
        if call == "write" and written >= size:
            assert not any(refused)
            number = f"{self.log._number:012}"
            at = max((one.end for one in self.acknowledged[number]), default=0)
            for body in group:
                end = at + len(header(body, 1, 0, at)) + len(body)
                self.acknowledged[number].append(Written(at, end, body))
                at = end
        else:
            assert all(error is not None and error.retry_seconds for error in refused)

    @rule()
    def seal(self) -> None:
        self.log.seal(now=True)

    @rule()
    def restart(self) -> None:
        self.log.close()
        self.open()

    @rule(group=BODIES, size=st.integers(0, 2000), zeros=st.integers(0, 200))
    def crash(self, group: list[bytes], size: int, zeros: int) -> None:
        """The process dies; of a group that it had not acknowledged the disk has any part, and zeros after it."""
        self.offered.update(group)
        for path in (self.directory / "0").glob(f"*{OPEN}"):
            rest = b""
            for body in group:
                rest += header(body, 1, 0, path.stat().st_size + len(rest)) + body
            with path.open("ab") as file:
                file.write(rest[:size] + bytes(zeros))
        self.die()
        self.open()

    @precondition(lambda self: bool(self.sealed()))
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """A byte flips, a stretch becomes zeros, or the end is gone."""
        path = data.draw(st.sampled_from(self.sealed()))
        whole = bytearray(path.read_bytes())
        begin = data.draw(st.integers(0, len(whole)), label="offset")
        match data.draw(st.sampled_from(["flip", "zeros", "cut"])):
            case "flip":
                end: float = begin + 1
                whole[begin : begin + 1] = bytes(byte ^ data.draw(st.integers(1, 255), label="mask") for byte in whole[begin : begin + 1])
            case "zeros":
                end = min(len(whole), begin + data.draw(st.integers(1, 200), label="zeros"))
                whole[begin : int(end)] = bytes(int(end) - begin)
            case _:
                end = float("inf")
                del whole[begin:]
        path.write_bytes(whole)
        self.hit[path.stem].append((begin, end))

    def sealed(self) -> list[Path]:
        return sorted((self.directory / "0").glob(f"*{SEALED}"))

    @invariant()
    def what_is_whole_is_read_and_all_else_is_named(self) -> None:
        if not hasattr(self, "directory"):
            return
        for path in sorted((self.directory / "0").glob("*.*ed")) + sorted((self.directory / "0").glob(f"*{OPEN}")):
            data = path.read_bytes()
            records, damages = read(io.BytesIO(data))
            found = [data[record.body] for record in records]
            assert set(found) <= self.offered, "a record that nobody wrote"
            written = self.acknowledged[path.stem]
            whole = [one for one in written if not any(one.begin < end and begin < one.end for begin, end in self.hit[path.stem])]
            places = {record.begin: data[record.body] for record in records}
            assert [places.get(one.begin) for one in whole] == [one.body for one in whole]
            # Records and damages together are the file: nothing is passed over in silence.
            at = 0
            for begin, end in sorted([(one.begin, one.end) for one in records] + [(one.begin, one.end) for one in damages]):
                assert begin == at
                at = end
            assert at == len(data)

    @invariant()
    def no_segment_is_missing(self) -> None:
        if hasattr(self, "directory"):
            names = {path.stem for path in (self.directory / "0").iterdir()}
            assert {number for number, written in self.acknowledged.items() if written} <= names


TestSpoolLogAgainstList = SpoolLogAgainstList.TestCase
TestSpoolLogAgainstList.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
