-- As for the spans: what an INSERT returned for must not be missing in a lookup after a power loss, since it is not inserted again.
ALTER TABLE metadata_parts MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE logged_models_parts MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;
