CREATE TABLE IF NOT EXISTS otel_traces_local ON CLUSTER 'main'
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    -- W3C trace flags in the low byte; 0x100: whether the parent is remote is known, 0x200: it is.
    Flags UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedAttributesCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedEventsCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedLinksCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toDate32(Timestamp)
ORDER BY (intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000), TraceId)
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS otel_traces ON CLUSTER 'main' AS otel_traces_local
ENGINE = Distributed('main', currentDatabase(), 'otel_traces_local', cityHash64(TraceId));

CREATE TABLE IF NOT EXISTS otlp_requests ON CLUSTER 'main'
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String))),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String))),
            spans Array(Tuple(
                trace_id String,
                span_id String,
                trace_state String,
                parent_span_id String,
                name String,
                kind Int32,
                start_time_unix_nano UInt64,
                end_time_unix_nano UInt64,
                attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)),
                dropped_attributes_count UInt32,
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)))),
                dropped_events_count UInt32,
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)))),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32),
                flags UInt32)),
            schema_url String)),
        schema_url String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_requests_to_otel_traces ON CLUSTER 'main' TO otel_traces AS
WITH
    -- 2262-04-11T23:47:16 is the last second that DateTime64(9) holds; a later time is clamped, never wrapped.
    nanos -> fromUnixTimestamp64Nano(toInt64(least(nanos, 9223372036854775807))) AS to_time,
    id -> if(id = unhex('0000000000000000'), '', lower(hex(id))) AS to_span_id,
    d -> multiIf(
        isNaN(d), 'NaN',
        isInfinite(d), if(d > 0, 'Infinity', '-Infinity'),
        abs(d) >= 1e21, replaceOne(toString(d), 'e', 'e+'),
        toString(d)) AS number_text,
    -- The engine writes control characters as \u001F, the Collector as \u001f.
    text -> if(
        match(text, '[\\x0B\\x0E\\x0F\\x1A-\\x1F]'),
        concat('"', arrayStringConcat(arrayMap(
            piece -> if(match(piece, '[\\x0B\\x0E\\x0F\\x1A-\\x1F]'), concat('\\u00', lower(hex(piece))), substring(toJSONString(piece), 2, length(toJSONString(piece)) - 2)),
            extractAll(text, '[\\x0B\\x0E\\x0F\\x1A-\\x1F]|[^\\x0B\\x0E\\x0F\\x1A-\\x1F]+'))), '"'),
        toJSONString(text)) AS json_text,
    e -> multiIf(
        e.kind = 1, json_text(e.string_value),
        e.kind = 3, toString(e.int_value),
        e.kind = 4, if(isFinite(e.double_value), number_text(e.double_value), concat('"', number_text(e.double_value), '"')),
        e.kind = 2, if(e.bool_value, 'true', 'false'),
        e.kind = 7, concat('"', base64Encode(e.bytes_value), '"'),
        'null') AS element_text,
    v -> multiIf(
        v.kind = 1, v.string_value,
        v.kind = 3, toString(v.int_value),
        v.kind = 4, number_text(v.double_value),
        v.kind = 2, if(v.bool_value, 'true', 'false'),
        v.kind = 5, concat('[', arrayStringConcat(arrayMap(e -> element_text(e), v.array_value.values), ','), ']'),
        v.kind = 7, base64Encode(v.bytes_value),
        '') AS value_text,
    attributes -> mapApply((k, v) -> (k, value_text(v)), attributes) AS to_map
SELECT
    to_time(span.start_time_unix_nano) AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    to_span_id(span.parent_span_id) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(span.kind, [0, 1, 2, 3, 4, 5], ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], '') AS SpanKind,
    ServiceName,
    ResourceAttributes,
    ScopeName,
    ScopeVersion,
    to_map(span.attributes) AS SpanAttributes,
    if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
    transform(span.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], '') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> to_time(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arrayMap(event -> to_map(event.attributes), span.events) AS `Events.Attributes`,
    arrayMap(link -> if(link.trace_id = unhex('00000000000000000000000000000000'), '', lower(hex(link.trace_id))), span.links) AS `Links.TraceId`,
    arrayMap(link -> to_span_id(link.span_id), span.links) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arrayMap(link -> to_map(link.attributes), span.links) AS `Links.Attributes`,
    span.flags AS Flags,
    span.dropped_attributes_count AS DroppedAttributesCount,
    span.dropped_events_count AS DroppedEventsCount,
    span.dropped_links_count AS DroppedLinksCount,
    ScopeAttributes,
    ResourceSchemaUrl,
    ScopeSchemaUrl
FROM
(
    SELECT
        ResourceAttributes,
        ServiceName,
        ResourceSchemaUrl,
        scope_span.scope.name AS ScopeName,
        scope_span.scope.version AS ScopeVersion,
        to_map(scope_span.scope.attributes) AS ScopeAttributes,
        scope_span.schema_url AS ScopeSchemaUrl,
        scope_span.spans AS spans
    FROM
    (
        SELECT
            to_map(resource_span.resource.attributes) AS ResourceAttributes,
            ResourceAttributes['service.name'] AS ServiceName,
            resource_span.schema_url AS ResourceSchemaUrl,
            resource_span.scope_spans AS scope_spans
        FROM otlp_requests
        ARRAY JOIN resource_spans AS resource_span
    )
    ARRAY JOIN scope_spans AS scope_span
)
ARRAY JOIN spans AS span;

CREATE TABLE IF NOT EXISTS traces_parts_local ON CLUSTER 'main'
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    Rank SimpleAggregateFunction(min, UInt8) CODEC(ZSTD(1)),
    ParentSpanId SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Name SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    ServiceName SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    StatusCode SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    Duration SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    ProcessMetadata SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    TraceMetadata SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    Tags SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    State SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(1)),
    ClientRequestId SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    RequestPreview SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    ResponsePreview SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime64(9)) CODEC(Delta(8), ZSTD(1)),
    Spans SimpleAggregateFunction(groupUniqArrayArray, Array(Tuple(
        id UInt64, parent UInt64, error Bool, input_tokens UInt64, output_tokens UInt64, cost Float64))) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_process_metadata mapValues(ProcessMetadata) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_trace_metadata mapValues(TraceMetadata) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_tags mapValues(Tags) TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(Timestamp)
ORDER BY (intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000), TraceId, SpanId)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS traces_parts ON CLUSTER 'main' AS traces_parts_local
ENGINE = Distributed('main', currentDatabase(), 'traces_parts_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_tallies ON CLUSTER 'main' TO traces_parts_local AS
SELECT
    min(Time) AS Timestamp,
    TraceId,
    '' AS SpanId,
    3 AS Rank,
    max(Service) AS ServiceName,
    Timestamp AS Start,
    groupUniqArray(Span) AS Spans
FROM
(
    SELECT
        Timestamp AS Time,
        TraceId,
        ServiceName AS Service,
        CAST((
            reinterpretAsUInt64(unhex(SpanId)),
            reinterpretAsUInt64(unhex(ParentSpanId)),
            StatusCode IN ('Error', 'STATUS_CODE_ERROR'),
            toUInt64OrZero(SpanAttributes['gen_ai.usage.input_tokens']),
            toUInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens']),
            toFloat64OrZero(SpanAttributes['gen_ai.usage.cost'])),
            'Tuple(id UInt64, parent UInt64, error Bool, input_tokens UInt64, output_tokens UInt64, cost Float64)') AS Span
    FROM otel_traces_local
)
GROUP BY TraceId;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_carriers ON CLUSTER 'main' TO traces_parts_local AS
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below,
    CAST(SpanAttributes, 'Map(String, String)') AS Attributes
SELECT
    Timestamp,
    TraceId,
    SpanId,
    multiIf(ParentSpanId = '', 0, bitAnd(Flags, 0x300) = 0x300, 1, 3) AS Rank,
    ParentSpanId,
    SpanName AS Name,
    ServiceName,
    StatusCode,
    Duration,
    if(Rank = 3, map(), arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map('mlflow.source.type', if(own['deployment.environment.name'] != '', own['deployment.environment.name'], own['deployment.environment']), 'mlflow.source.git.commit', if(own['vcs.ref.head.revision'] != '', own['vcs.ref.head.revision'], own['vcs.repository.ref.revision']), 'mlflow.source.git.branch', if(own['vcs.ref.head.name'] != '', own['vcs.ref.head.name'], own['vcs.repository.ref.name']), 'mlflow.source.git.repoURL', own['vcs.repository.url.full'], 'app_version', own['service.version'])), own), [mapUpdate(CAST(ResourceAttributes, 'Map(String, String)'), mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version'), CAST(SpanAttributes, 'Map(String, String)')))])[1]) AS ProcessMetadata,
    mapUpdate(
        mapFilter((k, v) -> v != '', map(
            'mlflow.trace.session', either(Attributes, 'session.id', 'gen_ai.conversation.id'),
            'mlflow.trace.user', either(Attributes, 'user.id', 'enduser.id'))),
        below(Attributes, 'mlflow.traceMetadata.')) AS TraceMetadata,
    below(Attributes, 'mlflow.traceTag.') AS Tags,
    Attributes['mlflow.traceState'] AS State,
    Attributes['mlflow.traceClientRequestId'] AS ClientRequestId,
    Attributes['mlflow.traceRequestPreview'] AS RequestPreview,
    Attributes['mlflow.traceResponsePreview'] AS ResponsePreview,
    Timestamp AS Start
FROM otel_traces_local
WHERE ParentSpanId = ''
    OR bitAnd(Flags, 0x300) = 0x300
    OR arrayExists(k -> startsWith(k, 'mlflow.trace') AND k != 'mlflow.traceRequestId', mapKeys(SpanAttributes));

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_orphans ON CLUSTER 'main' TO traces_parts_local AS
SELECT
    Orphan.start AS Timestamp,
    TraceId,
    Orphan.id AS SpanId,
    2 AS Rank,
    Orphan.parent AS ParentSpanId,
    Orphan.name AS Name,
    Orphan.service AS ServiceName,
    Orphan.status AS StatusCode,
    Orphan.duration AS Duration,
    Orphan.metadata AS ProcessMetadata,
    Timestamp AS Start
FROM
(
    SELECT
        TraceId,
        groupArray(SpanId) AS Stored,
        groupArrayIf(
            CAST((Timestamp, SpanId, ParentSpanId, SpanName, ServiceName, StatusCode, Duration, arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map('mlflow.source.type', if(own['deployment.environment.name'] != '', own['deployment.environment.name'], own['deployment.environment']), 'mlflow.source.git.commit', if(own['vcs.ref.head.revision'] != '', own['vcs.ref.head.revision'], own['vcs.repository.ref.revision']), 'mlflow.source.git.branch', if(own['vcs.ref.head.name'] != '', own['vcs.ref.head.name'], own['vcs.repository.ref.name']), 'mlflow.source.git.repoURL', own['vcs.repository.url.full'], 'app_version', own['service.version'])), own), [mapUpdate(CAST(ResourceAttributes, 'Map(String, String)'), mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version'), CAST(SpanAttributes, 'Map(String, String)')))])[1]),
                'Tuple(start DateTime64(9), id String, parent String, name String, service String, status String, duration UInt64, metadata Map(String, String))'),
            ParentSpanId != '' AND bitAnd(Flags, 0x100) = 0) AS Candidates
    FROM otel_traces_local
    GROUP BY TraceId
)
ARRAY JOIN arrayFilter(candidate -> NOT has(Stored, candidate.parent), Candidates) AS Orphan;

CREATE VIEW IF NOT EXISTS traces_local ON CLUSTER 'main' AS
WITH
    (part.Rank, part.Start, part.SpanId) AS Place,
    (part.Start, part.SpanId) AS Later,
    (root, latest) -> if(root != '', root, latest) AS root_else_latest,
    root_else_latest(argMin(part.State, Place), argMaxIf(part.State, Later, part.State != '')) AS SetState,
    -- argMin of a map costs four times what sorting the one map there is does.
    arraySort(groupArrayIf((Place, part.ProcessMetadata), part.Rank < 3))[1].2 AS RootProcess,
    (parts, root) -> mapUpdate(
        arrayFold((merged, found) -> mapUpdate(merged, found.3), arraySort(parts), CAST(map(), 'Map(String, String)')),
        arrayFirst(found -> found.2 = root, parts).3) AS root_over_latest,
    groupUniqArrayArray(part.Spans) AS AllSpans,
    arrayFilter(span -> span.input_tokens + span.output_tokens > 0 OR span.cost > 0, AllSpans) AS Reported,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Reported.parent, span.id), Reported) AS Spent
SELECT
    part.TraceId AS TraceId,
    argMin(part.Start, Place) AS Timestamp,
    argMin(part.Duration, Place) AS Duration,
    argMin(part.Name, Place) AS Name,
    argMin(part.ServiceName, Place) AS ServiceName,
    multiIf(
        SetState IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), SetState,
        min(part.Rank) = 3, 'IN_PROGRESS',
        argMin(part.StatusCode, Place) IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(arrayDistinct(AllSpans.id)) AS SpanCount,
    length(arrayDistinct(arrayMap(span -> span.id, arrayFilter(span -> span.error, AllSpans)))) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    root_else_latest(argMin(part.ClientRequestId, Place), argMaxIf(part.ClientRequestId, Later, part.ClientRequestId != '')) AS ClientRequestId,
    root_else_latest(argMin(part.RequestPreview, Place), argMaxIf(part.RequestPreview, Later, part.RequestPreview != '')) AS RequestPreview,
    root_else_latest(argMin(part.ResponsePreview, Place), argMaxIf(part.ResponsePreview, Later, part.ResponsePreview != '')) AS ResponsePreview,
    arraySum(span -> span.input_tokens, Spent) AS InputTokens,
    arraySum(span -> span.output_tokens, Spent) AS OutputTokens,
    nullIf(arraySum(span -> span.cost, Spent), 0) AS Cost,
    mapUpdate(
        RootProcess,
        root_over_latest(groupArrayIf((part.Start, part.SpanId, part.TraceMetadata), notEmpty(part.TraceMetadata)), argMin(part.SpanId, Place))) AS Metadata,
    mapUpdate(
        root_over_latest(groupArrayIf((part.Start, part.SpanId, part.Tags), notEmpty(part.Tags)), argMin(part.SpanId, Place)),
        mapFilter((k, v) -> v != '', map('mlflow.traceName', argMin(CAST(part.Name, 'String'), Place)))) AS Tags,
    if(min(part.Rank) = 3, '', argMin(part.SpanId, Place)) AS RootSpanId
FROM traces_parts_local AS part
GROUP BY part.TraceId;

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId));

ALTER TABLE otel_traces_local ON CLUSTER 'main' MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE traces_parts_local ON CLUSTER 'main' MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

DROP TABLE IF EXISTS otlp_requests ON CLUSTER 'main' SYNC;

DROP TABLE IF EXISTS otlp_requests_local ON CLUSTER 'main' SYNC;

DROP VIEW IF EXISTS otlp_requests_to_otel_traces ON CLUSTER 'main' SYNC;

DROP VIEW IF EXISTS otel_traces_to_tallies ON CLUSTER 'main' SYNC;

DROP VIEW IF EXISTS otel_traces_to_carriers ON CLUSTER 'main' SYNC;

DROP VIEW IF EXISTS otel_traces_to_orphans ON CLUSTER 'main' SYNC;

DROP VIEW IF EXISTS otel_traces_to_trace_carriers ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS otel_traces_by_time_local ON CLUSTER 'main'
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(LZ4),
    SpanName LowCardinality(String) CODEC(LZ4),
    SpanKind LowCardinality(String) CODEC(LZ4),
    ServiceName LowCardinality(String) CODEC(LZ4),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(LZ4),
    ScopeName String CODEC(LZ4),
    ScopeVersion String CODEC(LZ4),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(LZ4),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    -- W3C trace flags in the low byte; 0x100: whether the parent is remote is known, 0x200: it is.
    Flags UInt32 DEFAULT 0 CODEC(LZ4),
    DroppedAttributesCount UInt32 DEFAULT 0 CODEC(LZ4),
    DroppedEventsCount UInt32 DEFAULT 0 CODEC(LZ4),
    DroppedLinksCount UInt32 DEFAULT 0 CODEC(LZ4),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() CODEC(LZ4),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' CODEC(LZ4),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' CODEC(LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toDate32(Timestamp)
ORDER BY Timestamp
SETTINGS
    ttl_only_drop_parts = 1,
    replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
    -- What was acknowledged outlives the power, not only the process.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- An insert writes one file to sync, not one a column; large parts have one a column, as usual.
    min_bytes_for_wide_part = 268435456,
    min_parts_to_merge_at_once = 8,
    index_granularity = 2048;

CREATE TABLE IF NOT EXISTS otel_traces_by_time ON CLUSTER 'main' AS otel_traces_by_time_local
ENGINE = Distributed('main', currentDatabase(), 'otel_traces_by_time_local', cityHash64(TraceId));

TRUNCATE TABLE otel_traces_by_time_local ON CLUSTER 'main';

EXCHANGE TABLES otel_traces_local AND otel_traces_by_time_local ON CLUSTER 'main';

DROP TABLE IF EXISTS otel_traces_by_time ON CLUSTER 'main' SYNC SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS otel_traces_by_time_local ON CLUSTER 'main' SYNC SETTINGS max_table_size_to_drop = 0;

CREATE TABLE IF NOT EXISTS trace_carriers_local ON CLUSTER 'main'
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
    SourceType LowCardinality(String) MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.source.type'), TraceMetadata, ProcessMetadata)['mlflow.source.type'] CODEC(LZ4),
    AppVersion LowCardinality(String) MATERIALIZED if(mapContains(TraceMetadata, 'app_version'), TraceMetadata, ProcessMetadata)['app_version'] CODEC(LZ4),
    GitCommit LowCardinality(String) MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.source.git.commit'), TraceMetadata, ProcessMetadata)['mlflow.source.git.commit'] CODEC(LZ4),
    GitBranch LowCardinality(String) MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.source.git.branch'), TraceMetadata, ProcessMetadata)['mlflow.source.git.branch'] CODEC(LZ4),
    ModelId LowCardinality(String) MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.modelId'), TraceMetadata, ProcessMetadata)['mlflow.modelId'] CODEC(LZ4),
    SessionId String MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.trace.session'), TraceMetadata, ProcessMetadata)['mlflow.trace.session'] CODEC(ZSTD(1)),
    UserId String MATERIALIZED if(mapContains(TraceMetadata, 'mlflow.trace.user'), TraceMetadata, ProcessMetadata)['mlflow.trace.user'] CODEC(ZSTD(1)),
    Own UInt8 MATERIALIZED 1 * mapContains(TraceMetadata, 'mlflow.source.type') + 2 * mapContains(TraceMetadata, 'app_version') + 4 * mapContains(TraceMetadata, 'mlflow.source.git.commit') + 8 * mapContains(TraceMetadata, 'mlflow.source.git.branch') + 16 * mapContains(TraceMetadata, 'mlflow.modelId') + 32 * mapContains(TraceMetadata, 'mlflow.trace.session') + 64 * mapContains(TraceMetadata, 'mlflow.trace.user') CODEC(LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(Timestamp)
ORDER BY Timestamp
SETTINGS
    -- One file to sync and to open; columns of their own only in parts of millions of rows.
    min_bytes_for_wide_part = 1073741824,
    replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS trace_carriers ON CLUSTER 'main' AS trace_carriers_local
ENGINE = Distributed('main', currentDatabase(), 'trace_carriers_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_to_trace_carriers ON CLUSTER 'main' TO trace_carriers_local AS
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
    if(Rank = 3, map(), arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map('mlflow.source.type', if(own['deployment.environment.name'] != '', own['deployment.environment.name'], own['deployment.environment']), 'mlflow.source.git.commit', if(own['vcs.ref.head.revision'] != '', own['vcs.ref.head.revision'], own['vcs.repository.ref.revision']), 'mlflow.source.git.branch', if(own['vcs.ref.head.name'] != '', own['vcs.ref.head.name'], own['vcs.repository.ref.name']), 'mlflow.source.git.repoURL', own['vcs.repository.url.full'], 'app_version', own['service.version'])), own), [mapUpdate(carrier.resource, mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version'), carrier.attributes))])[1]) AS ProcessMetadata,
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
    FROM otel_traces_local
    GROUP BY TraceId
)
ARRAY JOIN Carriers AS carrier, arrayEnumerate(Carriers) AS place;

CREATE TABLE IF NOT EXISTS traces_parts_local ON CLUSTER 'main'
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
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY Timestamp;

CREATE TABLE IF NOT EXISTS traces_parts ON CLUSTER 'main' AS traces_parts_local
ENGINE = Distributed('main', currentDatabase(), 'traces_parts_local', cityHash64(TraceId));

CREATE OR REPLACE VIEW traces_local ON CLUSTER 'main' AS
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
    FROM trace_carriers_local AS part
    GROUP BY part.TraceId
);

DROP TABLE IF EXISTS traces ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId));

DROP TABLE IF EXISTS traces_parts ON CLUSTER 'main' SYNC SETTINGS max_table_size_to_drop = 0;

DROP TABLE IF EXISTS traces_parts_local ON CLUSTER 'main' SYNC SETTINGS max_table_size_to_drop = 0;

CREATE TABLE IF NOT EXISTS otlp_requests ON CLUSTER 'main'
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String))),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String))),
            spans Array(Tuple(
                trace_id String,
                span_id String,
                trace_state String,
                parent_span_id String,
                name String,
                kind Int32,
                start_time_unix_nano UInt64,
                end_time_unix_nano UInt64,
                attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)),
                dropped_attributes_count UInt32,
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)))),
                dropped_events_count UInt32,
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Map(String, Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(Tuple(kind UInt8, string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String))), bytes_value String)))),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32),
                flags UInt32)),
            schema_url String)),
        schema_url String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_requests_to_otel_traces ON CLUSTER 'main' TO otel_traces AS
WITH
    -- 2262-04-11T23:47:16 is the last second that DateTime64(9) holds; a later time is clamped, never wrapped.
    nanos -> fromUnixTimestamp64Nano(toInt64(least(nanos, 9223372036854775807))) AS to_time,
    id -> if(id = unhex('0000000000000000'), '', lower(hex(id))) AS to_span_id,
    d -> if(abs(d) < 1e21, toString(d), multiIf(
        isNaN(d), 'NaN',
        isInfinite(d), if(d > 0, 'Infinity', '-Infinity'),
        replaceOne(toString(d), 'e', 'e+'))) AS number_text,
    -- The engine writes control characters as \u001F, the Collector as \u001f. A byte that UTF-8 does not have stands for \\ meanwhile, lest
    -- the text \u001F be taken for one.
    text -> if(
        position(toJSONString(text), '\\u00') = 0,
        toJSONString(text),
        replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(toJSONString(text), '\\\\', '\xFF'), '\\u000B', '\\u000b'), '\\u000E', '\\u000e'), '\\u000F', '\\u000f'), '\\u001A', '\\u001a'), '\\u001B', '\\u001b'), '\\u001C', '\\u001c'), '\\u001D', '\\u001d'), '\\u001E', '\\u001e'), '\\u001F', '\\u001f'), '\xFF', '\\\\')) AS json_text,
    (kind, s, b, i, d, y) -> multiIf(
        kind = 1, json_text(s),
        kind = 3, toString(i),
        kind = 4, if(isFinite(d), number_text(d), concat('"', number_text(d), '"')),
        kind = 2, if(b, 'true', 'false'),
        kind = 7, concat('"', base64Encode(y), '"'),
        'null') AS element_text,
    (kind, s, b, i, d, a, y) -> multiIf(
        kind = 1, s,
        kind = 3, toString(i),
        kind = 4, number_text(d),
        kind = 2, if(b, 'true', 'false'),
        kind = 5, concat('[', arrayStringConcat(arrayMap(
            (kind, s, b, i, d, y) -> element_text(kind, s, b, i, d, y),
            a.kind, a.string_value, a.bool_value, a.int_value, a.double_value, a.bytes_value), ','), ']'),
        kind = 7, base64Encode(y),
        '') AS value_text,
    m -> mapFromArrays(mapKeys(m), arrayMap(
        (kind, s, b, i, d, a, y) -> value_text(kind, s, b, i, d, a, y),
        mapValues(m).kind, mapValues(m).string_value, mapValues(m).bool_value, mapValues(m).int_value, mapValues(m).double_value,
        mapValues(m).array_value.values, mapValues(m).bytes_value)) AS to_map,
    arrayMap(m -> to_map(m), arrayConcat(span.events.attributes, span.links.attributes)) AS nested
SELECT
    to_time(span.start_time_unix_nano) AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    to_span_id(span.parent_span_id) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(span.kind, [0, 1, 2, 3, 4, 5], ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], '') AS SpanKind,
    ServiceName,
    ResourceAttributes,
    ScopeName,
    ScopeVersion,
    to_map(span.attributes) AS SpanAttributes,
    if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
    transform(span.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], '') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> to_time(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arraySlice(nested, 1, length(span.events)) AS `Events.Attributes`,
    arrayMap(link -> if(link.trace_id = unhex('00000000000000000000000000000000'), '', lower(hex(link.trace_id))), span.links) AS `Links.TraceId`,
    arrayMap(link -> to_span_id(link.span_id), span.links) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arraySlice(nested, length(span.events) + 1) AS `Links.Attributes`,
    span.flags AS Flags,
    span.dropped_attributes_count AS DroppedAttributesCount,
    span.dropped_events_count AS DroppedEventsCount,
    span.dropped_links_count AS DroppedLinksCount,
    ScopeAttributes,
    ResourceSchemaUrl,
    ScopeSchemaUrl
FROM
(
    SELECT
        arrayMap(m -> to_map(m), [resource, scope_span.scope.attributes]) AS outer,
        outer[1] AS ResourceAttributes,
        outer[2] AS ScopeAttributes,
        ResourceAttributes['service.name'] AS ServiceName,
        ResourceSchemaUrl,
        scope_span.scope.name AS ScopeName,
        scope_span.scope.version AS ScopeVersion,
        scope_span.schema_url AS ScopeSchemaUrl,
        scope_span.spans AS spans
    FROM
    (
        SELECT
            resource_span.resource.attributes AS resource,
            resource_span.schema_url AS ResourceSchemaUrl,
            resource_span.scope_spans AS scope_spans
        FROM otlp_requests
        ARRAY JOIN resource_spans AS resource_span
    )
    ARRAY JOIN scope_spans AS scope_span
)
ARRAY JOIN spans AS span;

CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts_local ON CLUSTER 'main'
(
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toStartOfWeek(Start)
ORDER BY TraceId
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts ON CLUSTER 'main' AS otel_traces_trace_id_ts_local
ENGINE = Distributed('main', currentDatabase(), 'otel_traces_trace_id_ts_local', cityHash64(TraceId));

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv ON CLUSTER 'main' TO otel_traces_trace_id_ts_local AS
SELECT
    TraceId,
    min(Timestamp) AS Start,
    max(Timestamp) AS End
FROM otel_traces_local
WHERE TraceId != ''
GROUP BY TraceId;

CREATE TABLE IF NOT EXISTS trace_tags_local ON CLUSTER 'main'
(
    TraceId String CODEC(ZSTD(1)),
    Key String CODEC(ZSTD(1)),
    Value String CODEC(ZSTD(1)),
    EditedAt DateTime64(9) DEFAULT now64(9) CODEC(Delta(8), ZSTD(1)),
    Deleted UInt8 DEFAULT 0
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', EditedAt, Deleted)
ORDER BY (TraceId, Key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS trace_tags ON CLUSTER 'main' AS trace_tags_local
ENGINE = Distributed('main', currentDatabase(), 'trace_tags_local', cityHash64(TraceId));

CREATE TABLE IF NOT EXISTS metadata_parts_local ON CLUSTER 'main'
(
    Day Date32 CODEC(ZSTD(1)),
    Key String CODEC(ZSTD(1)),
    Values SimpleAggregateFunction(groupUniqArrayArray(256), Array(String)) CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(Day)
ORDER BY (Key, Day)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS metadata_parts ON CLUSTER 'main' AS metadata_parts_local
ENGINE = Distributed('main', currentDatabase(), 'metadata_parts_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS trace_carriers_to_metadata ON CLUSTER 'main' TO metadata_parts_local AS
SELECT
    toDate32(Timestamp) AS Day,
    Item.1 AS Key,
    groupUniqArray(256)(Item.2) AS Values
FROM trace_carriers_local
ARRAY JOIN CAST(mapConcat(ProcessMetadata, TraceMetadata), 'Array(Tuple(String, String))') AS Item
WHERE length(Item.2) BETWEEN 1 AND 256
GROUP BY Day, Key;

CREATE VIEW IF NOT EXISTS metadata_values ON CLUSTER 'main' AS
SELECT
    Key,
    Value,
    min(Day) AS FirstDay,
    max(Day) AS LastDay
FROM
(
    SELECT
        part.Key AS Key,
        part.Day AS Day,
        arrayJoin(groupUniqArrayArray(256)(part.Values)) AS Value
    FROM metadata_parts AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key, Value;

CREATE VIEW IF NOT EXISTS metadata_keys ON CLUSTER 'main' AS
SELECT
    Key,
    min(Day) AS FirstDay,
    max(Day) AS LastDay,
    length(groupUniqArrayArray(DayValues)) AS Values,
    max(length(DayValues)) < 256 AS Complete
FROM
(
    SELECT
        part.Key AS Key,
        part.Day AS Day,
        groupUniqArrayArray(256)(part.Values) AS DayValues
    FROM metadata_parts AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key;

CREATE TABLE IF NOT EXISTS logged_models_parts_local ON CLUSTER 'main'
(
    ModelId String CODEC(ZSTD(1)),
    Name SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    Params SimpleAggregateFunction(max, Map(String, String)) CODEC(ZSTD(1)),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9)),
    FirstCommit SimpleAggregateFunction(min, Tuple(at DateTime64(9), commit String)),
    LastCommit SimpleAggregateFunction(max, Tuple(at DateTime64(9), commit String))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY ModelId
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS logged_models_parts ON CLUSTER 'main' AS logged_models_parts_local
ENGINE = Distributed('main', currentDatabase(), 'logged_models_parts_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS trace_carriers_to_models ON CLUSTER 'main' TO logged_models_parts_local AS
WITH
    mapUpdate(ProcessMetadata, TraceMetadata)['mlflow.source.git.commit'] AS Commit,
    -- Without a commit a row says nothing of the first and the last one: it is put where it is neither.
    (if(Commit = '', toDateTime64('2262-04-11 23:47:16', 9, 'UTC'), Timestamp), Commit) AS First,
    (if(Commit = '', toDateTime64(0, 9, 'UTC'), Timestamp), Commit) AS Last,
    mapFilter((k, v) -> startsWith(k, 'mlflow.model.params.'), ProcessMetadata) AS Found
SELECT
    arrayJoin(arrayDistinct(arrayFilter(id -> id != '', [ProcessMetadata['mlflow.modelId'], TraceMetadata['mlflow.modelId']]))) AS ModelId,
    max(if(ModelId = ProcessMetadata['mlflow.modelId'], ProcessMetadata['mlflow.model.name'], '')) AS Name,
    max(CAST(mapApply((k, v) -> (substring(k, 21), v), if(ModelId = ProcessMetadata['mlflow.modelId'], Found, map())), 'Map(String, String)')) AS Params,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    min(First) AS FirstCommit,
    max(Last) AS LastCommit
FROM trace_carriers_local
WHERE mapContains(ProcessMetadata, 'mlflow.modelId') OR mapContains(TraceMetadata, 'mlflow.modelId')
GROUP BY ModelId;

CREATE VIEW IF NOT EXISTS logged_models ON CLUSTER 'main' AS
SELECT
    part.ModelId AS ModelId,
    max(part.Name) AS Name,
    max(part.Params) AS Params,
    min(part.FirstSeen) AS FirstSeen,
    max(part.LastSeen) AS LastSeen,
    min(part.FirstCommit).commit AS FirstCommit,
    max(part.LastCommit).commit AS LastCommit
FROM logged_models_parts AS part
GROUP BY part.ModelId;

ALTER TABLE metadata_parts_local ON CLUSTER 'main' MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE logged_models_parts_local ON CLUSTER 'main' MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW traces_local ON CLUSTER 'main' AS
WITH
    (root, latest) -> if(root != '', root, latest) AS root_else_latest,
    (begin, found) -> arrayFold((merged, one) -> mapUpdate(merged, one.4), arraySort(arrayMap(one -> (one.2 = RootId, one.1, one.2, one.3), found)), begin) AS root_last,
    -- A span that repeats the sum of its children is not counted again.
    arrayFilter(span -> NOT has(Spenders, span.1), AllSpans) AS Spent,
    mapUpdate(root_last(CAST(map(), 'Map(String, String)'), TagSets), CAST(if(Name = '', map(), map('mlflow.traceName', Name)), 'Map(String, String)')) AS Sent,
    -- Edits come with the latest first: of each key the first one counts.
    arrayFilter((edit, place) -> edit.4 = 0 AND place = 1, Edits, arrayEnumerateUniq(Edits.2)) AS Kept
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
    if(empty(Edits), Sent, mapUpdate(mapFilter((k, v) -> NOT has(Edits.2, k), Sent), mapFromArrays(Kept.2, Kept.3))) AS Tags,
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
    FROM trace_carriers_local AS part
    GROUP BY part.TraceId
) AS whole
LEFT ANY JOIN
(
    SELECT
        TraceId,
        arrayReverseSort(groupArray((EditedAt, Key, Value, Deleted))) AS Edits
    FROM trace_tags_local
    GROUP BY TraceId
) AS edits USING TraceId;

DROP TABLE IF EXISTS traces ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId));

ALTER TABLE trace_carriers_local ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS Key UInt64 MATERIALIZED cityHash64(TraceId) CODEC(NONE) AFTER TraceId,
    ADD COLUMN IF NOT EXISTS StateAlone LowCardinality(String) MATERIALIZED multiIf(
        State IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), State,
        Rank = 3, 'IN_PROGRESS',
        StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') CODEC(LZ4) AFTER State,
    ADD COLUMN IF NOT EXISTS Metadata Map(LowCardinality(String), String) DEFAULT mapUpdate(ProcessMetadata, TraceMetadata) CODEC(LZ4) AFTER ResponsePreview,
    ADD COLUMN IF NOT EXISTS ProcessModelId LowCardinality(String) DEFAULT ProcessMetadata['mlflow.modelId'] CODEC(LZ4) AFTER ResponsePreview,
    ADD COLUMN IF NOT EXISTS TraceKeys Array(LowCardinality(String)) DEFAULT mapKeys(TraceMetadata) CODEC(LZ4) AFTER Metadata;

ALTER TABLE trace_carriers ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS Key UInt64 MATERIALIZED cityHash64(TraceId) CODEC(NONE) AFTER TraceId,
    ADD COLUMN IF NOT EXISTS StateAlone LowCardinality(String) MATERIALIZED multiIf(
        State IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), State,
        Rank = 3, 'IN_PROGRESS',
        StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') CODEC(LZ4) AFTER State,
    ADD COLUMN IF NOT EXISTS Metadata Map(LowCardinality(String), String) DEFAULT mapUpdate(ProcessMetadata, TraceMetadata) CODEC(LZ4) AFTER ResponsePreview,
    ADD COLUMN IF NOT EXISTS ProcessModelId LowCardinality(String) DEFAULT ProcessMetadata['mlflow.modelId'] CODEC(LZ4) AFTER ResponsePreview,
    ADD COLUMN IF NOT EXISTS TraceKeys Array(LowCardinality(String)) DEFAULT mapKeys(TraceMetadata) CODEC(LZ4) AFTER Metadata;

ALTER TABLE trace_carriers_local ON CLUSTER 'main' MATERIALIZE COLUMN Metadata, MATERIALIZE COLUMN TraceKeys, MATERIALIZE COLUMN ProcessModelId, MATERIALIZE COLUMN Key, MATERIALIZE COLUMN StateAlone SETTINGS mutations_sync = 2;

ALTER TABLE otel_traces_to_trace_carriers ON CLUSTER 'main' MODIFY QUERY
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below,
    arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map('mlflow.source.type', if(own['deployment.environment.name'] != '', own['deployment.environment.name'], own['deployment.environment']), 'mlflow.source.git.commit', if(own['vcs.ref.head.revision'] != '', own['vcs.ref.head.revision'], own['vcs.repository.ref.revision']), 'mlflow.source.git.branch', if(own['vcs.ref.head.name'] != '', own['vcs.ref.head.name'], own['vcs.repository.ref.name']), 'mlflow.source.git.repoURL', own['vcs.repository.url.full'], 'app_version', own['service.version'])), own), [mapUpdate(carrier.resource, mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version'), carrier.attributes))])[1] AS OfProcess,
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
    FROM otel_traces_local
    GROUP BY TraceId
)
ARRAY JOIN Carriers AS carrier, arrayEnumerate(Carriers) AS place;

ALTER TABLE trace_carriers_to_metadata ON CLUSTER 'main' MODIFY QUERY
SELECT
    toDate32(Timestamp) AS Day,
    Item.1 AS Key,
    groupUniqArray(256)(Item.2) AS Values
FROM trace_carriers_local
ARRAY JOIN CAST(Metadata, 'Array(Tuple(String, String))') AS Item
WHERE length(Item.2) BETWEEN 1 AND 256
GROUP BY Day, Key;

ALTER TABLE trace_carriers_to_models ON CLUSTER 'main' MODIFY QUERY
WITH
    Metadata['mlflow.source.git.commit'] AS Commit,
    -- Without a commit a row says nothing of the first and the last one: it is put where it is neither.
    (if(Commit = '', toDateTime64('2262-04-11 23:47:16', 9, 'UTC'), Timestamp), Commit) AS First,
    (if(Commit = '', toDateTime64(0, 9, 'UTC'), Timestamp), Commit) AS Last,
    mapFilter((k, v) -> startsWith(k, 'mlflow.model.params.'), Metadata) AS Found
SELECT
    arrayJoin(arrayDistinct(arrayFilter(id -> id != '', [CAST(ProcessModelId, 'String'), Metadata['mlflow.modelId']]))) AS ModelId,
    -- Name and params are those of the process' model, not of one that was set for the trace.
    max(if(ModelId = ProcessModelId, Metadata['mlflow.model.name'], '')) AS Name,
    max(CAST(mapApply((k, v) -> (substring(k, 21), v), if(ModelId = ProcessModelId, Found, map())), 'Map(String, String)')) AS Params,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    min(First) AS FirstCommit,
    max(Last) AS LastCommit
FROM trace_carriers_local
WHERE ProcessModelId != '' OR Metadata['mlflow.modelId'] != ''
GROUP BY ModelId;

ALTER TABLE trace_carriers_local ON CLUSTER 'main' MODIFY COLUMN SourceType MATERIALIZED Metadata['mlflow.source.type'],
    MODIFY COLUMN AppVersion MATERIALIZED Metadata['app_version'],
    MODIFY COLUMN GitCommit MATERIALIZED Metadata['mlflow.source.git.commit'],
    MODIFY COLUMN GitBranch MATERIALIZED Metadata['mlflow.source.git.branch'],
    MODIFY COLUMN ModelId MATERIALIZED Metadata['mlflow.modelId'],
    MODIFY COLUMN SessionId MATERIALIZED Metadata['mlflow.trace.session'],
    MODIFY COLUMN UserId MATERIALIZED Metadata['mlflow.trace.user'],
    MODIFY COLUMN Own MATERIALIZED 1 * has(TraceKeys, 'mlflow.source.type') + 2 * has(TraceKeys, 'app_version') + 4 * has(TraceKeys, 'mlflow.source.git.commit') + 8 * has(TraceKeys, 'mlflow.source.git.branch') + 16 * has(TraceKeys, 'mlflow.modelId') + 32 * has(TraceKeys, 'mlflow.trace.session') + 64 * has(TraceKeys, 'mlflow.trace.user');

ALTER TABLE trace_carriers ON CLUSTER 'main' MODIFY COLUMN SourceType MATERIALIZED Metadata['mlflow.source.type'],
    MODIFY COLUMN AppVersion MATERIALIZED Metadata['app_version'],
    MODIFY COLUMN GitCommit MATERIALIZED Metadata['mlflow.source.git.commit'],
    MODIFY COLUMN GitBranch MATERIALIZED Metadata['mlflow.source.git.branch'],
    MODIFY COLUMN ModelId MATERIALIZED Metadata['mlflow.modelId'],
    MODIFY COLUMN SessionId MATERIALIZED Metadata['mlflow.trace.session'],
    MODIFY COLUMN UserId MATERIALIZED Metadata['mlflow.trace.user'],
    MODIFY COLUMN Own MATERIALIZED 1 * has(TraceKeys, 'mlflow.source.type') + 2 * has(TraceKeys, 'app_version') + 4 * has(TraceKeys, 'mlflow.source.git.commit') + 8 * has(TraceKeys, 'mlflow.source.git.branch') + 16 * has(TraceKeys, 'mlflow.modelId') + 32 * has(TraceKeys, 'mlflow.trace.session') + 64 * has(TraceKeys, 'mlflow.trace.user');

ALTER TABLE trace_carriers_local ON CLUSTER 'main' MODIFY COLUMN Metadata REMOVE DEFAULT, MODIFY COLUMN TraceKeys REMOVE DEFAULT, MODIFY COLUMN ProcessModelId REMOVE DEFAULT;

ALTER TABLE trace_carriers ON CLUSTER 'main' MODIFY COLUMN Metadata REMOVE DEFAULT, MODIFY COLUMN TraceKeys REMOVE DEFAULT, MODIFY COLUMN ProcessModelId REMOVE DEFAULT;

ALTER TABLE trace_carriers_local ON CLUSTER 'main' DROP COLUMN IF EXISTS ProcessMetadata, DROP COLUMN IF EXISTS TraceMetadata SETTINGS mutations_sync = 2;

ALTER TABLE trace_carriers ON CLUSTER 'main' DROP COLUMN IF EXISTS ProcessMetadata, DROP COLUMN IF EXISTS TraceMetadata SETTINGS mutations_sync = 2;

CREATE VIEW IF NOT EXISTS trace_repeats_local ON CLUSTER 'main' AS
SELECT arrayJoin(arrayFilter((key, step) -> step = 0, arrayPopFront(Keys), arrayPopFront(arrayDifference(Keys)))) AS Key
FROM
(
    SELECT arraySort(groupArray(row.Key)) AS Keys
    FROM trace_carriers_local AS row
)
UNION ALL
SELECT cityHash64(TraceId) AS Key
FROM trace_tags_local;

CREATE TABLE IF NOT EXISTS trace_repeats ON CLUSTER 'main' AS trace_repeats_local
ENGINE = Distributed('main', currentDatabase(), 'trace_repeats_local', rand());

CREATE VIEW IF NOT EXISTS trace_rows_local ON CLUSTER 'main' AS
WITH
    length(arrayDistinct(row.`Spans.id`)) AS Spans,
    Spans = length(row.`Spans.id`) AS Once,
    -- Id and number of spans -> their sum.
    (ids, numbers) -> arraySum((id, number) -> if(has(row.SpendingParents, id), 0, number), ids, numbers) AS spent,
    arrayDistinct(arrayZip(row.`Spans.id`, row.`Spans.input_tokens`, row.`Spans.output_tokens`, row.`Spans.cost`)) AS Apart
SELECT
    row.Key AS Key,
    row.TraceId AS TraceId,
    row.Timestamp AS Timestamp,
    row.Duration AS Duration,
    row.Name AS Name,
    row.ServiceName AS ServiceName,
    row.StateAlone AS State,
    Spans AS SpanCount,
    length(arrayDistinct(arrayFilter((id, error) -> error, row.`Spans.id`, row.`Spans.error`))) AS ErrorCount,
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
    if(Once, spent(row.`Spans.id`, row.`Spans.input_tokens`), spent(Apart.1, Apart.2)) AS InputTokens,
    if(Once, spent(row.`Spans.id`, row.`Spans.output_tokens`), spent(Apart.1, Apart.3)) AS OutputTokens,
    nullIf(if(Once, spent(row.`Spans.id`, row.`Spans.cost`), spent(Apart.1, Apart.4)), 0) AS Cost,
    CAST(row.Metadata, 'Map(String, String)') AS Metadata,
    mapUpdate(CAST(row.Tags, 'Map(String, String)'), CAST(if(row.Name = '', map(), map('mlflow.traceName', row.Name)), 'Map(String, String)')) AS Tags,
    if(row.Rank = 3, '', row.SpanId) AS RootSpanId
FROM trace_carriers_local AS row;

CREATE TABLE IF NOT EXISTS trace_rows ON CLUSTER 'main' AS trace_rows_local
ENGINE = Distributed('main', currentDatabase(), 'trace_rows_local', cityHash64(TraceId));

CREATE VIEW IF NOT EXISTS traces_merged_local ON CLUSTER 'main' AS
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
        groupUniqArrayArray(arrayZip(part.`Spans.id`, part.`Spans.error`, part.`Spans.input_tokens`, part.`Spans.output_tokens`, part.`Spans.cost`)) AS AllSpans,
        groupUniqArrayArray(part.SpendingParents) AS Spenders
    FROM trace_carriers_local AS part
    GROUP BY part.Key, part.TraceId
) AS whole
LEFT ANY JOIN
(
    SELECT
        edit.TraceId AS TraceId,
        arrayReverseSort(groupArray((edit.EditedAt, edit.Key, edit.Value, edit.Deleted))) AS Edits
    FROM trace_tags_local AS edit
    GROUP BY edit.TraceId
) AS edits USING TraceId;

CREATE TABLE IF NOT EXISTS traces_merged ON CLUSTER 'main' AS traces_merged_local
ENGINE = Distributed('main', currentDatabase(), 'traces_merged_local', cityHash64(TraceId));

CREATE OR REPLACE VIEW traces_local ON CLUSTER 'main' AS
SELECT * EXCEPT (Key)
FROM trace_rows_local
WHERE Key NOT IN (SELECT repeat.Key FROM trace_repeats_local AS repeat)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged_local
WHERE Key IN (SELECT repeat.Key FROM trace_repeats_local AS repeat);

DROP TABLE IF EXISTS traces ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId));

ALTER TABLE otlp_requests_to_otel_traces ON CLUSTER 'main' MODIFY QUERY
WITH
    -- 2262-04-11T23:47:16 is the last second that DateTime64(9) holds; a later time is clamped, never wrapped.
    nanos -> fromUnixTimestamp64Nano(toInt64(least(nanos, 9223372036854775807))) AS to_time,
    id -> if(id = unhex('0000000000000000'), '', lower(hex(id))) AS to_span_id,
    d -> if(abs(d) < 1e21, toString(d), multiIf(
        isNaN(d), 'NaN',
        isInfinite(d), if(d > 0, 'Infinity', '-Infinity'),
        replaceOne(toString(d), 'e', 'e+'))) AS number_text,
    -- The engine writes control characters as \u001F, the Collector as \u001f. A byte that UTF-8 does not have stands for \\ meanwhile, lest
    -- the text \u001F be taken for one.
    text -> if(
        position(toJSONString(text), '\\u00') = 0,
        toJSONString(text),
        replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(toJSONString(text), '\\\\', '\xFF'), '\\u000B', '\\u000b'), '\\u000E', '\\u000e'), '\\u000F', '\\u000f'), '\\u001A', '\\u001a'), '\\u001B', '\\u001b'), '\\u001C', '\\u001c'), '\\u001D', '\\u001d'), '\\u001E', '\\u001e'), '\\u001F', '\\u001f'), '\xFF', '\\\\')) AS json_text,
    (kind, s, b, i, d, y) -> multiIf(
        kind = 1, json_text(s),
        kind = 3, toString(i),
        kind = 4, if(isFinite(d), number_text(d), concat('"', number_text(d), '"')),
        kind = 2, if(b, 'true', 'false'),
        kind = 7, concat('"', base64Encode(y), '"'),
        'null') AS element_text,
    (kind, s, b, i, d, a, y) -> multiIf(
        kind = 1, s,
        kind = 3, toString(i),
        kind = 4 AND abs(d) < 1e21, toString(d),
        kind = 2, toString(b),
        -- Characters that the engine and the Collector escape differently are left to the way below.
        kind = 5 AND length(a.kind) = countEqual(a.kind, 1) AND NOT match(arrayStringConcat(a.string_value), '[\\x0B\\x0E\\x0F\\x1A-\\x1F]'),
            concat('[', arrayStringConcat(arrayMap(s -> toJSONString(s), a.string_value), ','), ']'),
        kind = 5, concat('[', arrayStringConcat(arrayMap(
            (kind, s, b, i, d, y) -> element_text(kind, s, b, i, d, y),
            a.kind, a.string_value, a.bool_value, a.int_value, a.double_value, a.bytes_value), ','), ']'),
        kind = 4, number_text(d),
        kind = 7, base64Encode(y),
        '') AS value_text,
    m -> mapFromArrays(mapKeys(m), arrayMap(
        (kind, s, b, i, d, a, y) -> value_text(kind, s, b, i, d, a, y),
        mapValues(m).kind, mapValues(m).string_value, mapValues(m).bool_value, mapValues(m).int_value, mapValues(m).double_value,
        mapValues(m).array_value.values, mapValues(m).bytes_value)) AS to_map,
    arrayMap(m -> to_map(m), arrayConcat(span.events.attributes, span.links.attributes)) AS nested
SELECT
    to_time(span.start_time_unix_nano) AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    to_span_id(span.parent_span_id) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(span.kind, [0, 1, 2, 3, 4, 5], ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], '') AS SpanKind,
    ServiceName,
    ResourceAttributes,
    scope.1 AS ScopeName,
    scope.2 AS ScopeVersion,
    to_map(span.attributes) AS SpanAttributes,
    if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
    transform(span.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], '') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> to_time(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arraySlice(nested, 1, length(span.events)) AS `Events.Attributes`,
    arrayMap(link -> if(link.trace_id = unhex('00000000000000000000000000000000'), '', lower(hex(link.trace_id))), span.links) AS `Links.TraceId`,
    arrayMap(link -> to_span_id(link.span_id), span.links) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arraySlice(nested, length(span.events) + 1) AS `Links.Attributes`,
    span.flags AS Flags,
    span.dropped_attributes_count AS DroppedAttributesCount,
    span.dropped_events_count AS DroppedEventsCount,
    span.dropped_links_count AS DroppedLinksCount,
    scope.4 AS ScopeAttributes,
    ResourceSchemaUrl,
    scope.3 AS ScopeSchemaUrl
FROM
(
    WITH
        resource_span.scope_spans AS scope_spans,
        arrayMap(
            m -> CAST(to_map(m), 'Map(LowCardinality(String), String)'),
            arrayPushFront(scope_spans.scope.attributes, resource_span.resource.attributes)) AS outer
    SELECT
        outer[1] AS ResourceAttributes,
        ResourceAttributes['service.name'] AS ServiceName,
        resource_span.schema_url AS ResourceSchemaUrl,
        arrayFlatten(scope_spans.spans) AS spans,
        -- Name, version, schema and attributes of the scope of each span.
        arrayFlatten(arrayMap(
            (scope, spans) -> arrayWithConstant(length(spans), scope),
            arrayZip(scope_spans.scope.name, scope_spans.scope.version, scope_spans.schema_url, arrayPopFront(outer)),
            scope_spans.spans)) AS scopes
    FROM otlp_requests
    ARRAY JOIN resource_spans AS resource_span
)
ARRAY JOIN spans AS span, scopes AS scope;

ALTER TABLE trace_carriers_local ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS SpanCountAlone UInt32 MATERIALIZED length(arrayDistinct(`Spans.id`)) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS ErrorCountAlone UInt32 MATERIALIZED length(arrayDistinct(arrayFilter((id, error) -> error, `Spans.id`, `Spans.error`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS InputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.2), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS OutputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.3), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS CostAlone Float64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.4), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS SentTags Map(LowCardinality(String), String) ALIAS Tags;

ALTER TABLE trace_carriers ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS SpanCountAlone UInt32 MATERIALIZED length(arrayDistinct(`Spans.id`)) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS ErrorCountAlone UInt32 MATERIALIZED length(arrayDistinct(arrayFilter((id, error) -> error, `Spans.id`, `Spans.error`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS InputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.2), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS OutputTokensAlone UInt64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.3), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS CostAlone Float64 MATERIALIZED arraySum(
        span -> if(has(SpendingParents, span.1), 0, span.4), arrayDistinct(arrayZip(`Spans.id`, `Spans.input_tokens`, `Spans.output_tokens`, `Spans.cost`))) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS SentTags Map(LowCardinality(String), String) ALIAS Tags;

ALTER TABLE trace_carriers_local ON CLUSTER 'main' MODIFY SETTING min_bytes_for_wide_part = 1048576, min_rows_for_wide_part = 20000;

ALTER TABLE otel_traces_to_trace_carriers ON CLUSTER 'main' MODIFY QUERY
WITH
    (m, name, fallback) -> if(m[name] != '', m[name], m[fallback]) AS either,
    (m, prefix) -> mapApply((k, v) -> (substring(k, length(prefix) + 1), v), mapFilter((k, v) -> startsWith(k, prefix), m)) AS below,
    arrayMap(own -> mapUpdate(mapFilter((k, v) -> v != '', map('mlflow.source.type', if(own['deployment.environment.name'] != '', own['deployment.environment.name'], own['deployment.environment']), 'mlflow.source.git.commit', if(own['vcs.ref.head.revision'] != '', own['vcs.ref.head.revision'], own['vcs.repository.ref.revision']), 'mlflow.source.git.branch', if(own['vcs.ref.head.name'] != '', own['vcs.ref.head.name'], own['vcs.repository.ref.name']), 'mlflow.source.git.repoURL', own['vcs.repository.url.full'], 'app_version', own['service.version'])), own), [mapUpdate(carrier.resource, mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version'), carrier.attributes))])[1] AS OfProcess,
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
    FROM otel_traces_local
    GROUP BY TraceId
)
ARRAY JOIN Carriers AS carrier, arrayEnumerate(Carriers) AS place;

CREATE OR REPLACE VIEW traces_local ON CLUSTER 'main' AS
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
FROM trace_rows_local
WHERE Key NOT IN (SELECT repeat.Key FROM trace_repeats_local AS repeat)
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
FROM traces_merged_local
WHERE Key IN (SELECT repeat.Key FROM trace_repeats_local AS repeat);

DROP TABLE IF EXISTS traces ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId));

CREATE OR REPLACE VIEW trace_rows_local ON CLUSTER 'main' AS
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
FROM trace_carriers_local AS row;

DROP TABLE IF EXISTS trace_rows ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS trace_rows ON CLUSTER 'main' AS trace_rows_local
ENGINE = Distributed('main', currentDatabase(), 'trace_rows_local', cityHash64(TraceId));

CREATE OR REPLACE VIEW traces_merged_local ON CLUSTER 'main' AS
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
    FROM trace_carriers_local AS part
    GROUP BY part.Key, part.TraceId
) AS whole
LEFT ANY JOIN
(
    SELECT
        edit.TraceId AS TraceId,
        arrayReverseSort(groupArray((edit.EditedAt, edit.Key, edit.Value, edit.Deleted))) AS Edits
    FROM trace_tags_local AS edit
    GROUP BY edit.TraceId
) AS edits USING TraceId;

DROP TABLE IF EXISTS traces_merged ON CLUSTER 'main' SYNC;

CREATE TABLE IF NOT EXISTS traces_merged ON CLUSTER 'main' AS traces_merged_local
ENGINE = Distributed('main', currentDatabase(), 'traces_merged_local', cityHash64(TraceId));

DROP VIEW IF EXISTS otel_traces_trace_id_ts_mv ON CLUSTER 'main' SYNC;

DROP TABLE IF EXISTS otel_traces_trace_id_ts ON CLUSTER 'main' SYNC;

DROP TABLE IF EXISTS otel_traces_trace_id_ts_local ON CLUSTER 'main' SYNC;

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts ON CLUSTER 'main' AS
WITH
    -- 2106-02-07T06:28:15 is the last second that DateTime holds, and readers add one.
    time -> toDateTime(least(greatest(time, toDateTime64(0, 9, 'UTC')), toDateTime64('2106-02-07 06:28:14', 9, 'UTC'))) AS to_second
SELECT
    part.TraceId AS TraceId,
    to_second(part.First) AS Start,
    to_second(part.Last) AS End
FROM trace_carriers AS part;

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv ON CLUSTER 'main' AS
SELECT
    times.TraceId AS TraceId,
    times.Start AS Start,
    times.End AS End
FROM otel_traces_trace_id_ts AS times;
