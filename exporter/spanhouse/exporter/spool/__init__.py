"""The spool: a segmented log on disk that holds every acknowledged request until the store has it.

Requests that wait together are appended with one write and one fsync, then acknowledged (``appender``). A segment is a run of records
(``record``); once sealed it is a batch: its bytes, as they are, are one OTLP request to the engine. The drain (``drain``) hands sealed
segments to the writer in their order and removes each when the store has it. What can't be stored becomes a dead letter, what was
damaged on disk goes to quarantine; nothing is dropped.
"""
