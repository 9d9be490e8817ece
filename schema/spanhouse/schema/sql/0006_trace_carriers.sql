-- What is known of a trace, as rows that never change: a filter is judged on them without merging anything first.
-- A row is a span that may be the trace's root or that holds trace metadata. For a trace of which an insert brings no root there is a row
-- with SpanId = '' besides. The first row of a trace in an insert also counts all of its spans in that insert (Spans.*).
-- Rank says what kind of root a span can be: 0 it has no parent; 1 its flags say that its parent is remote;
-- 2 its flags are silent and its parent was not in the same insert; 3 not a root.
-- Columns from SourceType on hold what this row says of the keys that are asked for most; a bit of Own is set for each of them, in their
-- order, that the row has as trace metadata, so that it goes for the whole trace.
CREATE TABLE IF NOT EXISTS trace_carriers
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    Rank UInt8 CODEC(LZ4),
    Name LowCardinality(String) CODEC(LZ4),
    ServiceName LowCardinality(String) CODEC(LZ4),
    StatusCode LowCardinality(String) CODEC(LZ4),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    State LowCardinality(String) CODEC(LZ4),
    ClientRequestId String CODEC(LZ4),
    RequestPreview String CODEC(ZSTD(1)),
    ResponsePreview String CODEC(ZSTD(1)),
    ProcessMetadata Map(LowCardinality(String), String) CODEC(LZ4),
    TraceMetadata Map(LowCardinality(String), String) CODEC(LZ4),
    Tags Map(LowCardinality(String), String) CODEC(LZ4),
    -- First and last start of the trace's spans in the insert: between them they stand in otel_traces.
    First DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Last DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- 48 bits of a hash tell the spans of a trace apart.
    `Spans.id` Array(UInt64) CODEC(T64, LZ4),
    `Spans.error` Array(Bool) CODEC(ZSTD(1)),
    `Spans.input_tokens` Array(UInt64) CODEC(T64, LZ4),
    `Spans.output_tokens` Array(UInt64) CODEC(T64, LZ4),
    `Spans.cost` Array(Float64) CODEC(ZSTD(1)),
    -- Parents of the spans that report tokens or cost.
    SpendingParents Array(UInt64) CODEC(T64, LZ4),
{hot_columns}
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(Timestamp)
ORDER BY Timestamp
SETTINGS
    -- One file to sync and to open; columns of their own only in parts of millions of rows.
    min_bytes_for_wide_part = 1073741824,
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

-- Old tables and Collectors write STATUS_CODE_ERROR where new ones write Error; readers take both.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_trace_carriers TO trace_carriers AS
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below
SELECT
    carrier.start AS Timestamp,
    TraceId,
    carrier.id AS SpanId,
    multiIf(
        carrier.id = '', 3,
        carrier.parent = '', 0,
        bitAnd(carrier.flags, 0x300) = 0x300, 1,
        bitAnd(carrier.flags, 0x100) = 0 AND NOT has(Ids, carrier.parent_key), 2,
        3) AS Rank,
    carrier.name AS Name,
    carrier.service AS ServiceName,
    carrier.status AS StatusCode,
    carrier.duration AS Duration,
    carrier.attributes['mlflow.traceState'] AS State,
    carrier.attributes['mlflow.traceClientRequestId'] AS ClientRequestId,
    carrier.attributes['mlflow.traceRequestPreview'] AS RequestPreview,
    carrier.attributes['mlflow.traceResponsePreview'] AS ResponsePreview,
    if(Rank = 3, map(), {carrier_metadata}) AS ProcessMetadata,
    mapUpdate(
        mapFilter((k, v) -> v != '', map(
            'mlflow.trace.session', either(carrier.attributes, 'session.id', 'gen_ai.conversation.id'),
            'mlflow.trace.user', either(carrier.attributes, 'user.id', 'enduser.id'))),
        below(carrier.attributes, 'mlflow.traceMetadata.')) AS TraceMetadata,
    below(carrier.attributes, 'mlflow.traceTag.') AS Tags,
    First,
    Last,
    if(place = 1, Ids, []) AS `Spans.id`,
    if(place = 1, Errors, []) AS `Spans.error`,
    if(place = 1, InputTokens, []) AS `Spans.input_tokens`,
    if(place = 1, OutputTokens, []) AS `Spans.output_tokens`,
    if(place = 1, Costs, []) AS `Spans.cost`,
    if(place = 1, Parents, []) AS SpendingParents
FROM
(
    WITH
        bitAnd(cityHash64(SpanId), 0xFFFFFFFFFFFF) AS Key,
        bitAnd(cityHash64(ParentSpanId), 0xFFFFFFFFFFFF) AS ParentKey,
        toUInt64OrZero(SpanAttributes['gen_ai.usage.input_tokens']) AS Input,
        toUInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens']) AS Output,
        toFloat64OrZero(SpanAttributes['gen_ai.usage.cost']) AS Cost,
        ParentSpanId = '' OR bitAnd(Flags, 0x300) = 0x300 AS Rooted,
        Rooted OR arrayExists(k -> startsWith(k, 'mlflow.trace') AND k != 'mlflow.traceRequestId', mapKeys(SpanAttributes)) AS Carries
    SELECT
        TraceId,
        min(Timestamp) AS First,
        max(Timestamp) AS Last,
        groupArray(Key) AS Ids,
        groupArray(StatusCode IN ('Error', 'STATUS_CODE_ERROR')) AS Errors,
        groupArray(Input) AS InputTokens,
        groupArray(Output) AS OutputTokens,
        groupArray(Cost) AS Costs,
        groupUniqArrayIf(ParentKey, ParentSpanId != '' AND (Input > 0 OR Output > 0 OR Cost > 0)) AS Parents,
        groupArrayIf(
            CAST((SpanId, Timestamp, Carries, ParentSpanId, ParentKey, Flags, SpanName, ServiceName, StatusCode, Duration, ResourceAttributes, SpanAttributes),
                'Tuple(id String, start DateTime64(9), carries Bool, parent String, parent_key UInt64, flags UInt32, name String, service String, status String, duration UInt64, resource Map(String, String), attributes Map(String, String))'),
            Carries OR bitAnd(Flags, 0x100) = 0) AS Found,
        -- Where no span of the insert is a root for sure, a row that is none comes first.
        CAST(('', First, true, '', 0, 0, '', max(ServiceName), '', 0, map(), map()),
            'Tuple(id String, start DateTime64(9), carries Bool, parent String, parent_key UInt64, flags UInt32, name String, service String, status String, duration UInt64, resource Map(String, String), attributes Map(String, String))') AS Nobody,
        arrayConcat(if(max(Rooted), [], [Nobody]), arrayFilter(found -> found.carries OR NOT has(Ids, found.parent_key), Found)) AS Carriers
    FROM otel_traces
    GROUP BY TraceId
)
ARRAY JOIN Carriers AS carrier, arrayEnumerate(Carriers) AS place;

-- Rows of the table that had this part before, as they are; rows that come twice do no harm. Their spans may stand anywhere in otel_traces.
CREATE TABLE IF NOT EXISTS traces_parts
(
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    Rank SimpleAggregateFunction(min, UInt8),
    Name SimpleAggregateFunction(max, LowCardinality(String)),
    ServiceName SimpleAggregateFunction(max, LowCardinality(String)),
    StatusCode SimpleAggregateFunction(max, LowCardinality(String)),
    Duration SimpleAggregateFunction(max, UInt64),
    ProcessMetadata SimpleAggregateFunction(max, Map(String, String)),
    TraceMetadata SimpleAggregateFunction(max, Map(String, String)),
    Tags SimpleAggregateFunction(max, Map(String, String)),
    State SimpleAggregateFunction(max, LowCardinality(String)),
    ClientRequestId SimpleAggregateFunction(max, String),
    RequestPreview SimpleAggregateFunction(max, String),
    ResponsePreview SimpleAggregateFunction(max, String),
    Start SimpleAggregateFunction(min, DateTime64(9)),
    Spans SimpleAggregateFunction(groupUniqArrayArray, Array(Tuple(
        id UInt64, parent UInt64, error Bool, input_tokens UInt64, output_tokens UInt64, cost Float64)))
)
ENGINE = AggregatingMergeTree
ORDER BY Timestamp;

INSERT INTO trace_carriers (
    Timestamp, TraceId, SpanId, Rank, Name, ServiceName, StatusCode, Duration, State, ClientRequestId, RequestPreview, ResponsePreview,
    ProcessMetadata, TraceMetadata, Tags, First, Last,
    `Spans.id`, `Spans.error`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`, SpendingParents)
WITH
    id -> bitAnd(cityHash64(lower(hex(reinterpretAsFixedString(id)))), 0xFFFFFFFFFFFF) AS key
SELECT
    Start, TraceId, SpanId, Rank, Name, ServiceName, StatusCode, Duration, State, ClientRequestId, RequestPreview, ResponsePreview,
    ProcessMetadata, TraceMetadata, Tags,
    Timestamp, fromUnixTimestamp64Nano(toInt64(9223372036854775807)),
    arrayMap(span -> key(span.id), Spans), Spans.error, Spans.input_tokens, Spans.output_tokens, Spans.cost,
    arrayDistinct(arrayMap(span -> key(span.parent), arrayFilter(
        span -> span.parent != 0 AND (span.input_tokens > 0 OR span.output_tokens > 0 OR span.cost > 0), Spans)))
FROM traces_parts
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0;

-- One row per trace, always merged. The root is the carrier of lowest rank, the earliest of them. What an application set for the trace
-- is the root's, else that of the latest carrier that has it.
-- A span without flags whose parent came in another insert is the root only if nothing earlier is: parents start before their children.
CREATE OR REPLACE VIEW traces AS
WITH
    (root, latest) -> if(root != '', root, latest) AS root_else_latest,
    (begin, found) -> arrayFold((merged, one) -> mapUpdate(merged, one.4), arraySort(arrayMap(one -> (one.2 = RootId, one.1, one.2, one.3), found)), begin) AS root_last,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Spenders, span.1), AllSpans) AS Spent
SELECT
    TraceId,
    Timestamp,
    Duration,
    Name,
    ServiceName,
    multiIf(
        SetState IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), SetState,
        RootRank = 3, 'IN_PROGRESS',
        RootStatus IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(arrayDistinct(AllSpans.1)) AS SpanCount,
    length(arrayDistinct(arrayFilter((id, error) -> error, AllSpans.1, AllSpans.2))) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    root_else_latest(RootRequestId, LatestRequestId) AS ClientRequestId,
    root_else_latest(RootRequest, LatestRequest) AS RequestPreview,
    root_else_latest(RootResponse, LatestResponse) AS ResponsePreview,
    arraySum(Spent.3) AS InputTokens,
    arraySum(Spent.4) AS OutputTokens,
    nullIf(arraySum(Spent.5), 0) AS Cost,
    root_last(CAST(RootProcess, 'Map(String, String)'), TraceMetadatas) AS Metadata,
    mapUpdate(root_last(CAST(map(), 'Map(String, String)'), TagSets), CAST(if(Name = '', map(), map('mlflow.traceName', Name)), 'Map(String, String)')) AS Tags,
    if(RootRank = 3, '', RootId) AS RootSpanId
FROM
(
    WITH
        (part.Rank, part.Timestamp, part.SpanId) AS Place,
        (part.Timestamp, part.SpanId) AS Later
    SELECT
        part.TraceId AS TraceId,
        min(part.Rank) AS RootRank,
        argMin(part.SpanId, Place) AS RootId,
        argMin(part.Timestamp, Place) AS Timestamp,
        argMin(part.Duration, Place) AS Duration,
        argMin(part.Name, Place) AS Name,
        argMin(part.ServiceName, Place) AS ServiceName,
        argMin(part.StatusCode, Place) AS RootStatus,
        if(argMin(part.State, Place) != '', argMin(part.State, Place), argMaxIf(part.State, Later, part.State != '')) AS SetState,
        argMin(part.ClientRequestId, Place) AS RootRequestId,
        argMaxIf(part.ClientRequestId, Later, part.ClientRequestId != '') AS LatestRequestId,
        argMin(part.RequestPreview, Place) AS RootRequest,
        argMaxIf(part.RequestPreview, Later, part.RequestPreview != '') AS LatestRequest,
        argMin(part.ResponsePreview, Place) AS RootResponse,
        argMaxIf(part.ResponsePreview, Later, part.ResponsePreview != '') AS LatestResponse,
        -- argMin of a map costs four times what sorting the one map there is does.
        arraySort(groupArrayIf((Place, part.ProcessMetadata), part.Rank < 3))[1].2 AS RootProcess,
        groupArrayIf((part.Timestamp, part.SpanId, CAST(part.TraceMetadata, 'Map(String, String)')), notEmpty(part.TraceMetadata)) AS TraceMetadatas,
        groupArrayIf((part.Timestamp, part.SpanId, CAST(part.Tags, 'Map(String, String)')), notEmpty(part.Tags)) AS TagSets,
        groupUniqArrayArray(arrayZip(part.Spans.id, part.Spans.error, part.Spans.input_tokens, part.Spans.output_tokens, part.Spans.cost)) AS AllSpans,
        groupUniqArrayArray(part.SpendingParents) AS Spenders
    FROM trace_carriers AS part
    GROUP BY part.TraceId
);

DROP TABLE IF EXISTS traces_parts SETTINGS max_table_size_to_drop = 0;
