-- Prices that users set, append-only. The greatest Version counts for a model and a first day; prices as of an earlier version are read by
-- skipping later writes.
CREATE TABLE IF NOT EXISTS spanhouse_prices
(
    Version UInt64 COMMENT 'Number of the write, from 1',
    Model String COMMENT 'Name of the model, in lower case',
    ValidFrom Date COMMENT 'First day, in UTC, on which the prices hold',
    Input Float64 COMMENT 'USD per million input tokens',
    Output Float64 COMMENT 'USD per million output tokens',
    Cached Float64 COMMENT 'USD per million input tokens that came from a cache; -1 if not known',
    Reasoning Float64 COMMENT 'USD per million output tokens that were reasoning; -1 if not known',
    Source String COMMENT 'Where the prices come from',
    Deleted UInt8 DEFAULT 0 COMMENT '1: the prices of this model from this day on were deleted',
    WrittenAt DateTime64(3) DEFAULT now64(3) COMMENT 'When it was written'
)
ENGINE = MergeTree
ORDER BY (Version, Model, ValidFrom)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Prices of models that users set, beside those that come with spanhouse';
