"""The spool: a segmented log on disk that holds every acknowledged request until the store has it.

Design constraints
------------------
- A request is acknowledged when the disk has it: one write and one fsync serve all requests that wait (``appender``).
- A sealed segment, as it is, is one OTLP request to the engine: its file is inserted unchanged.
- A torn or damaged record costs itself and none of its neighbours. Nothing is dropped: damaged bytes are kept in quarantine, requests that the
  store can't read are kept as dead letters.
- Several receive processes append, each in a folder of its own; one process empties the spool. A process owns its directory by a lock on
  ``spanhouse.lock``.
- The spool holds a bounded number of bytes and leaves free bytes on its disk. The last 1/8 is for retries (``capacity``).

On-disk layout
--------------
::

    SPOOL/spanhouse.lock              lock of the process that empties the spool
    SPOOL/store                       name of the store that the requests are for
    SPOOL/identity                    16 hex digits: name of this spool in the log_comment of its inserts
    SPOOL/stored-requests             digests of the requests stored lately, 16 bytes each; .previous holds the 100,000 before
    SPOOL/replay-DIGEST.sealed        a dead letter that is tried again: a segment of one record
    SPOOL/N/spanhouse.lock            lock of receive process N, from 0 on
    SPOOL/N/000000000001.open         the segment that the process writes
    SPOOL/N/000000000001.sealed       a segment that waits for the store
    SPOOL/dead-letters/DIGEST.otlp    a request that the store can't read, serialised; the reason in DIGEST.json
    SPOOL/quarantine/N-SEGMENT-OFFSET-HASH.bin    damaged bytes of a segment; the reason in the .json beside

Record structure
----------------
A segment is a run of records without anything between them. Numbers are little-endian (``record``).

- tag: bytes[2], field 15 of protobuf wire type 2 and the length of the rest of the header: 40
- magic: bytes[4], ``spn1``; its last character is the version of the format
- size: u32, bytes of the body
- spans: u32, spans in the body
- received_ns: u64, time of receipt, Unix time in nanoseconds
- digest: bytes[16], first half of the SHA-256 of the body
- checksum: u32, CRC-32 of the header so far, seeded with the header's offset in the segment
- body: bytes[size], a serialised ``ExportTraceServiceRequest``

OTLP has no field 15, protobuf skips unknown fields, and messages that follow one another are merged. So a run of records is one OTLP request.
The seed keeps a copy of a record that a client sends inside a request from being taken for a record.

Writing
-------
Records are appended with ``writev`` and synced with ``fdatasync``; a new segment's folder is synced before its first record. After a write or
sync that fails, the segment is cut to its last known length and sealed: the file's content is unknown then. Its requests are refused as
retryable, and the next ones go into another segment. A disk that refused a write is probed once a second (``disk_probe``).

Sealing
-------
Sealing is a rename from ``.open`` to ``.sealed``. A segment is sealed when it holds 30,000 spans or 32 MiB, or when its first request has waited
0.2 s, nothing sealed waits for the drain, and the last seal is 1.5 s ago. A rename that fails is tried again every 50 ms.

Reading
-------
The drain (``ingest.drain``) takes sealed segments in the order of their numbers, checks each record's checksum and digest, and inserts segments that
together have at most 32 MiB at once. A single undamaged segment is inserted from its file; else the bodies are read one by one.

Deleting
--------
A segment is deleted when the store has synced its spans, its dead letters and damage are durable elsewhere, and its digests were added to
``stored-requests``. Requests found there are not inserted again (``seen_requests``).

Dead letters
------------
A request that the engine can't read is written to ``dead-letters/`` with the reason before its segment is deleted. ``replay`` wraps it in a record
again and puts that into the spool as a sealed segment, behind all others.

Recovery
--------
The process that owns a folder seals the open segments in it. Reading skips a damaged record: it searches for the next header whose checksum
holds, and the bytes between go to quarantine. Damage at the end of a segment whose process was killed is a torn write, of which nothing was
acknowledged; all other damage is counted as corrupt. Segments of an earlier process may be stored already, in part or as a whole, so the writer
looks for their spans in the store first.
"""
