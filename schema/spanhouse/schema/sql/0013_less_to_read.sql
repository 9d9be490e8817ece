-- What reading a trace took to work out, and what few ask for, is made less of.
-- SpanCountAlone and the like are the sums of a trace that no other row tells of. A span that repeats the sum of its children is not counted
-- again; one that came twice in one insert is counted once, which is dearer to work out. SentTags is what the row says of tags.
ALTER TABLE trace_carriers
    ADD COLUMN IF NOT EXISTS SpanCountAlone UInt32 MATERIALIZED length(arrayDistinct(`Spans.id`)) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS ErrorCountAlone UInt32 MATERIALIZED length(arrayDistinct(arrayFilter((id, error) -> error, `Spans.id`, `Spans.error`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS InputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.2), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS OutputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.3), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS CostAlone Float64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.4), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS SentTags Map(LowCardinality(String), String) ALIAS Tags;

-- One file for all columns is what an insert wants. It costs 12 bytes a trace, since each array of spans has its lengths beside it there, and a
-- column alone is read faster from a file of its own: so merged parts are split. Rows decide, and no insert has that many traces.
ALTER TABLE trace_carriers MODIFY SETTING min_bytes_for_wide_part = 1048576, min_rows_for_wide_part = 20000;

-- The view of 0011, with 40 bits of a hash to tell the spans of a trace apart.
ALTER TABLE otel_traces_to_trace_carriers MODIFY QUERY
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below,
    {carrier_metadata} AS OfProcess,
    -- What the span says of its trace.
    mapUpdate(
        mapFilter((k, v) -> v != '', map(
            'mlflow.trace.session', either(carrier.attributes, 'session.id', 'gen_ai.conversation.id'),
            'mlflow.trace.user', either(carrier.attributes, 'user.id', 'enduser.id'))),
        below(carrier.attributes, 'mlflow.traceMetadata.')) AS OfTrace
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
    if(Rank = 3, OfTrace, mapUpdate(OfProcess, OfTrace)) AS Metadata,
    if(Rank = 3, '', OfProcess['mlflow.modelId']) AS ProcessModelId,
    mapKeys(OfTrace) AS TraceKeys,
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
        bitAnd(cityHash64(SpanId), 0xFFFFFFFFFF) AS Key,
        bitAnd(cityHash64(ParentSpanId), 0xFFFFFFFFFF) AS ParentKey,
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

-- One row per trace, with its columns by name.
CREATE OR REPLACE VIEW traces AS
SELECT
    TraceId,
    Timestamp,
    Duration,
    Name,
    ServiceName,
    State,
    SpanCount,
    ErrorCount,
    SessionId,
    UserId,
    ModelId,
    SourceType,
    AppVersion,
    GitCommit,
    GitBranch,
    ClientRequestId,
    RequestPreview,
    ResponsePreview,
    InputTokens,
    OutputTokens,
    Cost,
    Metadata,
    Tags,
    RootSpanId
FROM trace_rows
WHERE Key NOT IN (SELECT repeat.Key FROM trace_repeats AS repeat)
UNION ALL
SELECT
    TraceId,
    Timestamp,
    Duration,
    Name,
    ServiceName,
    State,
    SpanCount,
    ErrorCount,
    SessionId,
    UserId,
    ModelId,
    SourceType,
    AppVersion,
    GitCommit,
    GitBranch,
    ClientRequestId,
    RequestPreview,
    ResponsePreview,
    InputTokens,
    OutputTokens,
    Cost,
    Metadata,
    Tags,
    RootSpanId
FROM traces_merged
WHERE Key IN (SELECT repeat.Key FROM trace_repeats AS repeat);

-- Each row as a trace, which it is if no other row tells of it; then what else is asked of rows, by the names of the table.
CREATE OR REPLACE VIEW trace_rows AS
SELECT
    row.Key AS Key,
    row.TraceId AS TraceId,
    row.Timestamp AS Timestamp,
    row.Duration AS Duration,
    row.Name AS Name,
    row.ServiceName AS ServiceName,
    row.StateAlone AS State,
    row.SpanCountAlone AS SpanCount,
    row.ErrorCountAlone AS ErrorCount,
    row.SessionId AS SessionId,
    row.UserId AS UserId,
    row.ModelId AS ModelId,
    row.SourceType AS SourceType,
    row.AppVersion AS AppVersion,
    row.GitCommit AS GitCommit,
    row.GitBranch AS GitBranch,
    row.ClientRequestId AS ClientRequestId,
    row.RequestPreview AS RequestPreview,
    row.ResponsePreview AS ResponsePreview,
    row.InputTokensAlone AS InputTokens,
    row.OutputTokensAlone AS OutputTokens,
    nullIf(row.CostAlone, 0) AS Cost,
    CAST(row.Metadata, 'Map(String, String)') AS Metadata,
    mapUpdate(CAST(row.Tags, 'Map(String, String)'), CAST(if(row.Name = '', map(), map('mlflow.traceName', row.Name)), 'Map(String, String)')) AS Tags,
    if(row.Rank = 3, '', row.SpanId) AS RootSpanId,
    row.StateAlone AS StateAlone,
    row.Tags AS SentTags,
    row.First AS First,
    row.Last AS Last
FROM trace_carriers AS row;

-- All traces, each merged from all its rows: for a few traces, named by their ids. The root is the row of lowest rank, the earliest of them.
-- What an application set for the trace is the root's, else that of the latest row that has it; over tags goes what was edited later.
-- A span without flags whose parent came in another insert is the root only if nothing earlier is: parents start before their children.
CREATE OR REPLACE VIEW traces_merged AS
WITH
    -- Rows of a trace, the root last. Place is (rank, start, span id).
    (rows) -> arraySort(one -> (one.1 = Root.1, one.1.2, one.1.3), rows) AS root_last,
    root_last(Said) AS Saying,
    arrayFold((merged, one) -> mapUpdate(merged, one), arrayMap(one -> mapFilter((k, v) -> has(one.3, k), one.2), root_last(Sets)),
        arrayFirst(one -> one.1 = Root.1, Sets).2) AS Whole,
    arrayFold((merged, one) -> mapUpdate(merged, one), root_last(TagSets).2, CAST(map(), 'Map(String, String)')) AS SetTags,
    mapUpdate(SetTags, CAST(if(Root.3 = '', map(), map('mlflow.traceName', Root.3)), 'Map(String, String)')) AS Sent,
    -- Edits come with the latest first: of each key the first one counts.
    arrayFilter((edit, place) -> edit.4 = 0 AND place = 1, Edits, arrayEnumerateUniq(Edits.2)) AS Kept,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Spenders, span.1), AllSpans) AS Spent
SELECT
    Key,
    TraceId,
    Root.1.2 AS Timestamp,
    Root.2 AS Duration,
    Root.3 AS Name,
    Root.4 AS ServiceName,
    CAST(multiIf(
        SetState IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), SetState,
        Root.1.1 = 3, 'IN_PROGRESS',
        Root.5 IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK'), 'LowCardinality(String)') AS State,
    length(arrayDistinct(AllSpans.1)) AS SpanCount,
    length(arrayDistinct(arrayFilter((id, error) -> error, AllSpans.1, AllSpans.2))) AS ErrorCount,
    Whole['mlflow.trace.session'] AS SessionId,
    Whole['mlflow.trace.user'] AS UserId,
    CAST(Whole['mlflow.modelId'], 'LowCardinality(String)') AS ModelId,
    CAST(Whole['mlflow.source.type'], 'LowCardinality(String)') AS SourceType,
    CAST(Whole['app_version'], 'LowCardinality(String)') AS AppVersion,
    CAST(Whole['mlflow.source.git.commit'], 'LowCardinality(String)') AS GitCommit,
    CAST(Whole['mlflow.source.git.branch'], 'LowCardinality(String)') AS GitBranch,
    arrayLast(one -> one.2 != '', Saying).2 AS ClientRequestId,
    arrayLast(one -> one.3 != '', Saying).3 AS RequestPreview,
    arrayLast(one -> one.4 != '', Saying).4 AS ResponsePreview,
    arraySum(Spent.3) AS InputTokens,
    arraySum(Spent.4) AS OutputTokens,
    nullIf(arraySum(Spent.5), 0) AS Cost,
    Whole AS Metadata,
    if(empty(Edits), Sent, mapUpdate(mapFilter((k, v) -> NOT has(Edits.2, k), Sent), mapFromArrays(Kept.2, Kept.3))) AS Tags,
    if(Root.1.1 = 3, '', Root.1.3) AS RootSpanId
FROM
(
    WITH
        -- Rows of before hold 48 bits of the hashes.
        ids -> arrayMap(id -> bitAnd(id, 0xFFFFFFFFFF), ids) AS to_ids,
        (part.Rank, part.Timestamp, part.SpanId) AS Place
    SELECT
        part.Key AS Key,
        part.TraceId AS TraceId,
        argMin((Place, part.Duration, part.Name, part.ServiceName, part.StatusCode, part.State), Place) AS Root,
        if(Root.6 != '', Root.6, argMaxIf(part.State, (part.Timestamp, part.SpanId), part.State != '')) AS SetState,
        groupArrayIf((Place, part.ClientRequestId, part.RequestPreview, part.ResponsePreview),
            part.ClientRequestId != '' OR part.RequestPreview != '' OR part.ResponsePreview != '') AS Said,
        groupArrayIf((Place, CAST(part.Metadata, 'Map(String, String)'), part.TraceKeys), notEmpty(part.Metadata)) AS Sets,
        groupArrayIf((Place, CAST(part.Tags, 'Map(String, String)')), notEmpty(part.Tags)) AS TagSets,
        groupUniqArrayArray(arrayZip(to_ids(part.`Spans.id`), part.`Spans.error`, part.`Spans.input_tokens`, part.`Spans.output_tokens`, part.`Spans.cost`)) AS AllSpans,
        groupUniqArrayArray(to_ids(part.SpendingParents)) AS Spenders
    FROM trace_carriers AS part
    GROUP BY part.Key, part.TraceId
) AS whole
LEFT ANY JOIN
(
    SELECT
        edit.TraceId AS TraceId,
        arrayReverseSort(groupArray((edit.EditedAt, edit.Key, edit.Value, edit.Deleted))) AS Edits
    FROM trace_tags AS edit
    GROUP BY edit.TraceId
) AS edits USING TraceId;

-- When the spans of a trace began, for Grafana's ClickHouse datasource, is known from trace_carriers. Both names stand in the place of what
-- the Collector's exporter makes where it does not find them.
DROP VIEW IF EXISTS otel_traces_trace_id_ts_mv;

DROP TABLE IF EXISTS otel_traces_trace_id_ts;

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts AS
WITH
    -- 2106-02-07T06:28:15 is the last second that DateTime holds, and readers add one.
    time -> toDateTime(least(greatest(time, toDateTime64(0, 9, 'UTC')), toDateTime64('2106-02-07 06:28:14', 9, 'UTC'))) AS to_second
SELECT
    part.TraceId AS TraceId,
    to_second(part.First) AS Start,
    to_second(part.Last) AS End
FROM trace_carriers AS part;

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv AS
SELECT
    times.TraceId AS TraceId,
    times.Start AS Start,
    times.End AS End
FROM otel_traces_trace_id_ts AS times;
