-- An INSERT returns when the disk has its rows: the spool removes what it holds of them then. Without these the engine leaves it to the
-- operating system when to write, and a power loss takes what was inserted within the last seconds.
ALTER TABLE otel_traces MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE traces_parts MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;
