CREATE TABLE IF NOT EXISTS otel_traces_local ON CLUSTER 'main'
(
    Timestamp DateTime64(9) COMMENT 'Start of the span' CODEC(Delta(8), ZSTD(1)),
    TraceId String COMMENT '32 lower-case hex digits' CODEC(ZSTD(1)),
    SpanId String COMMENT '16 lower-case hex digits' CODEC(ZSTD(1)),
    ParentSpanId String COMMENT 'Span id of the parent; empty for a span without parent' CODEC(ZSTD(1)),
    TraceState String COMMENT 'W3C tracestate' CODEC(LZ4),
    SpanName LowCardinality(String) COMMENT 'Name of the span' CODEC(LZ4),
    SpanKind LowCardinality(String) COMMENT 'Unspecified, Internal, Server, Client, Producer or Consumer' CODEC(LZ4),
    ServiceName LowCardinality(String) COMMENT 'Resource attribute service.name' CODEC(LZ4),
    ResourceAttributes Map(LowCardinality(String), String) COMMENT 'Attributes of the process, as text' CODEC(LZ4),
    ScopeName String COMMENT 'Name of the instrumentation library' CODEC(LZ4),
    ScopeVersion String COMMENT 'Version of the instrumentation library' CODEC(LZ4),
    SpanAttributes Map(LowCardinality(String), String) COMMENT 'Attributes of the span, as text; arrays and maps as JSON' CODEC(ZSTD(1)),
    Duration UInt64 COMMENT 'Nanoseconds; 0 for a span that ends before it begins' CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) COMMENT 'Unset, Ok or Error' CODEC(LZ4),
    StatusMessage String COMMENT 'Message beside the status' CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) COMMENT 'Events of the span, exceptions among them' CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) COMMENT 'Links to other spans' CODEC(ZSTD(1)),
    Flags UInt32 DEFAULT 0 COMMENT 'W3C trace flags; 0x100: the parent is known to be remote or local, 0x200: it is remote' CODEC(LZ4),
    DroppedAttributesCount UInt32 DEFAULT 0 COMMENT 'Attributes that the SDK dropped' CODEC(LZ4),
    DroppedEventsCount UInt32 DEFAULT 0 COMMENT 'Events that the SDK dropped' CODEC(LZ4),
    DroppedLinksCount UInt32 DEFAULT 0 COMMENT 'Links that the SDK dropped' CODEC(LZ4),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() COMMENT 'Attributes of the instrumentation library' CODEC(LZ4),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' COMMENT 'Schema of the resource attributes' CODEC(LZ4),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' COMMENT 'Schema of the scope and its spans' CODEC(LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toDate32(Timestamp)
ORDER BY Timestamp
SETTINGS
    ttl_only_drop_parts = 1,
    replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
    -- Acknowledged spans survive a power loss, not only a crash of the process.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- An insert syncs one file instead of one per column; large parts have a file per column, as usual.
    min_bytes_for_wide_part = 268435456,
    min_parts_to_merge_at_once = 8,
    index_granularity = 2048
COMMENT 'One row per span';

CREATE TABLE IF NOT EXISTS otel_traces ON CLUSTER 'main' AS otel_traces_local
ENGINE = Distributed('main', currentDatabase(), 'otel_traces_local', cityHash64(TraceId))
COMMENT 'One row per span';

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
ENGINE = Null
COMMENT 'Internal: raw OTLP requests go in, nothing is stored';

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_requests_to_otel_traces ON CLUSTER 'main' TO otel_traces AS
WITH
    -- 2262-04-11T23:47:16 is the last second that DateTime64(9) holds; a later time is clamped, never wrapped.
    nanos -> fromUnixTimestamp64Nano(toInt64(least(nanos, 9223372036854775807))) AS to_time,
    id -> if(id = unhex('0000000000000000'), '', lower(hex(id))) AS to_span_id
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
    maps[1] AS SpanAttributes,
    if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
    transform(span.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], '') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> to_time(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arraySlice(maps, 2, length(span.events)) AS `Events.Attributes`,
    arrayMap(link -> if(link.trace_id = unhex('00000000000000000000000000000000'), '', lower(hex(link.trace_id))), span.links) AS `Links.TraceId`,
    arrayMap(link -> to_span_id(link.span_id), span.links) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arraySlice(maps, length(span.events) + 2) AS `Links.Attributes`,
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
        d -> if(abs(d) < 1e21, toString(d), multiIf(
            isNaN(d), 'NaN',
            isInfinite(d), if(d > 0, 'Infinity', '-Infinity'),
            replaceOne(toString(d), 'e', 'e+'))) AS number_text,
        -- The engine writes control characters as \u001F, the Collector as \u001f. \\ is replaced by a byte that UTF-8 lacks meanwhile, so that
        -- the literal text \u001F stays.
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
            -- The branch below handles characters that the engine and the Collector escape differently.
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
        resource_span.scope_spans AS scope_spans,
        arrayFlatten(scope_spans.spans) AS spans,
        -- Order: the resource, its scopes, then for each span its attributes, its events, its links.
        arrayMap(maps -> arrayMap(m -> to_map(m), maps), arrayPushFront(
            arrayMap((own, events, links) -> arrayConcat([own], events, links), spans.attributes, spans.events.attributes, spans.links.attributes),
            arrayPushFront(scope_spans.scope.attributes, resource_span.resource.attributes))) AS rendered,
        arrayMap(m -> CAST(m, 'Map(LowCardinality(String), String)'), rendered[1]) AS outer
    SELECT
        outer[1] AS ResourceAttributes,
        ResourceAttributes['service.name'] AS ServiceName,
        resource_span.schema_url AS ResourceSchemaUrl,
        spans,
        arrayPopFront(rendered) AS maps_of_spans,
        -- The scope of each span: name, version, schema, attributes.
        arrayFlatten(arrayMap(
            (scope, spans) -> arrayWithConstant(length(spans), scope),
            arrayZip(scope_spans.scope.name, scope_spans.scope.version, scope_spans.schema_url, arrayPopFront(outer)),
            scope_spans.spans)) AS scopes
    FROM otlp_requests
    ARRAY JOIN resource_spans AS resource_span
)
ARRAY JOIN spans AS span, maps_of_spans AS maps, scopes AS scope;

CREATE TABLE IF NOT EXISTS spanhouse_trace_parts_local ON CLUSTER 'main'
(
    Received DateTime64(3) COMMENT 'When the insert came, by the engine''s clock' CODEC(Delta(8), LZ4),
    Arrival UInt64 COMMENT 'Identity of the insert''s block; see spanhouse_arrivals' CODEC(LZ4),
    TraceHash UInt64 COMMENT 'Hash of TraceId' CODEC(NONE),
    TraceId String COMMENT '32 hex digits' CODEC(LZ4),
    Whole UInt8 COMMENT '1: made from all spans that were stored then' CODEC(LZ4),
    Rank UInt8 COMMENT 'Kind of root that the candidate can be: 0 no parent, 1 a remote parent, 2 flags say nothing and its parent is not in the insert, 3 none' CODEC(LZ4),
    Start DateTime64(9) COMMENT 'Start of the candidate' CODEC(LZ4),
    SpanId String COMMENT 'Span id of the candidate' CODEC(LZ4),
    Parent UInt64 COMMENT 'Hash of the candidate''s parent' CODEC(LZ4),
    Name String COMMENT 'Name of the candidate' CODEC(LZ4),
    StatusCode String COMMENT 'Status of the candidate' CODEC(LZ4),
    Duration UInt64 COMMENT 'Nanoseconds, of the candidate' CODEC(LZ4),
    Process Map(String, String) COMMENT 'Resource attributes' CODEC(LZ4),
    OwnProcess Map(String, String) COMMENT 'Process keys among the candidate''s attributes' CODEC(LZ4),
    OwnSession Tuple(code UInt16, value String) COMMENT 'Session that the candidate names, and the code of the attribute' CODEC(LZ4),
    OwnUser Tuple(code UInt16, value String) COMMENT 'User that the candidate names, and the code of the attribute' CODEC(LZ4),
    OwnRequest Tuple(code UInt16, value String) COMMENT 'Input of the candidate, and the code of the attribute' CODEC(LZ4),
    OwnResponse Tuple(code UInt16, value String) COMMENT 'Output of the candidate, and the code of the attribute' CODEC(LZ4),
    Session Tuple(rank UInt16, start DateTime64(9), id String, value String) COMMENT 'Session by the attribute that counts most (999 less its code), of spans with it the latest' CODEC(LZ4),
    User Tuple(rank UInt16, start DateTime64(9), id String, value String) COMMENT 'User by the attribute that counts most (999 less its code), of spans with it the latest' CODEC(LZ4),
    Request Tuple(start DateTime64(9), id String, code UInt16, value String) COMMENT 'Input of the earliest span that has one' CODEC(LZ4),
    Response Tuple(end Int64, id String, code UInt16, value String) COMMENT 'Output of the span that ended last of those that have one' CODEC(LZ4),
    TraceAttributes Array(Tuple(start DateTime64(9), id String, attributes Map(String, String))) COMMENT 'Trace metadata and tags that spans carry, by span' CODEC(LZ4),
    Spans Nested
    (
        id UInt64,
        parent UInt64,
        start Int64,
        duration UInt64,
        error UInt8,
        input Float64,
        output Float64,
        cached Float64,
        reasoning Float64,
        cost Float64,
        model UInt16
    ) COMMENT 'Spans: hashes of ids, Unix nanoseconds, tokens and USD, -1 where a span reports none, and the place of its model in Words' CODEC(LZ4),
    Words Array(String) COMMENT 'Models, types of spans, errors, reasons to finish, tools and prompts: each after the letter of its kind' CODEC(LZ4),
    FirstError Tuple(start DateTime64(9), id String, type String, message String) COMMENT 'Type and message of the earliest error' CODEC(LZ4)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toStartOfHour(Received)
ORDER BY (Received, TraceHash)
TTL toDateTime(Received) + INTERVAL 3 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    min_bytes_for_wide_part = 1073741824,
    replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'Internal: facts about traces by insert, until they are settled into traces';

CREATE TABLE IF NOT EXISTS spanhouse_trace_parts ON CLUSTER 'main' AS spanhouse_trace_parts_local
ENGINE = Distributed('main', currentDatabase(), 'spanhouse_trace_parts_local', cityHash64(TraceId))
COMMENT 'Internal: facts about traces by insert, until they are settled into traces';

CREATE MATERIALIZED VIEW IF NOT EXISTS spanhouse_spans_to_parts ON CLUSTER 'main' TO spanhouse_trace_parts_local AS
SELECT
    now64(3) AS Received,
    cityHash64(initialQueryID(), now64(9), hostName()) AS Arrival,
    cityHash64(TraceId) AS TraceHash,
    TraceId,
    First.1 AS Rank,
    First.2 AS Start,
    First.3 AS SpanId,
    Parent,
    Name,
    StatusCode,
    Duration,
    Process,
    OwnProcess,
    OwnSession,
    OwnUser,
    OwnRequest,
    OwnResponse,
    Session,
    User,
    Request,
    Response,
    Saying AS TraceAttributes,
    Ids AS `Spans.id`,
    Parents AS `Spans.parent`,
    Starts AS `Spans.start`,
    Durations AS `Spans.duration`,
    Errors AS `Spans.error`,
    Inputs AS `Spans.input`,
    Outputs AS `Spans.output`,
    CachedInputs AS `Spans.cached`,
    Reasonings AS `Spans.reasoning`,
    Costs AS `Spans.cost`,
    arrayMap(model -> toUInt16(indexOf(AllWords, model)), SpanModels) AS `Spans.model`,
    AllWords AS Words,
    EarliestError AS FirstError
FROM
(
    WITH
        arrayMap((k, v) -> if(v != '' AND NOT startsWith(v, '[Scrubbed due to') AND ((transform(k, ['gen_ai.response.model', 'gen_ai.request.model', 'llm.model_name', 'embedding.model_name', 'mlflow.llm.model', 'langfuse.observation.model.name', 'ai.response.model', 'ai.model.id', 'mlflow.spanType', 'openinference.span.kind', 'gen_ai.operation.name', 'traceloop.span.kind', 'langfuse.observation.type', 'gen_ai.tool.name', 'tool.name', 'ai.toolCall.name', 'traceloop.entity.name', 'gen_ai.response.finish_reasons', 'ai.response.finishReason', 'llm.finish_reason', 'error.type', 'mlflow.linkedPrompts', 'langfuse.observation.prompt.name', 'langfuse.observation.prompt.version', 'llm.prompt_template.template', 'llm.prompt_template.version', 'gen_ai.usage.input_tokens', 'llm.token_count.prompt', 'gen_ai.usage.prompt_tokens', 'ai.usage.inputTokens', 'ai.usage.promptTokens', 'gen_ai.usage.output_tokens', 'llm.token_count.completion', 'gen_ai.usage.completion_tokens', 'ai.usage.outputTokens', 'ai.usage.completionTokens', 'gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens', 'llm.token_count.prompt_details.cache_read', 'ai.usage.cachedInputTokens', 'gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens', 'llm.token_count.completion_details.reasoning', 'ai.usage.reasoningTokens', 'gen_ai.usage.cost', 'gen_ai.usage.total_cost', 'llm.cost.total', 'operation.cost', 'mlflow.chat.tokenUsage', 'langfuse.observation.usage_details', 'mlflow.llm.cost', 'langfuse.observation.cost_details', 'session.id', 'langfuse.session.id', 'traceloop.association.properties.session_id', 'ai.telemetry.metadata.sessionId', 'gen_ai.conversation.id', 'user.id', 'enduser.id', 'langfuse.user.id', 'traceloop.association.properties.user_id', 'ai.telemetry.metadata.userId', 'input.value', 'mlflow.spanInputs', 'gen_ai.input.messages', 'traceloop.entity.input', 'langfuse.observation.input', 'ai.prompt', 'logfire.msg', 'output.value', 'mlflow.spanOutputs', 'gen_ai.output.messages', 'traceloop.entity.output', 'langfuse.observation.output', 'ai.response.text', 'final_result'], [16, 17, 18, 19, 20, 21, 22, 23, 32, 33, 34, 35, 36, 48, 49, 50, 64, 80, 81, 82, 96, 112, 128, 144, 160, 176, 192, 193, 194, 195, 196, 208, 209, 210, 211, 212, 224, 225, 226, 227, 240, 241, 242, 243, 256, 257, 258, 259, 272, 273, 288, 289, 304, 305, 306, 307, 308, 320, 321, 322, 323, 324, 336, 337, 338, 339, 340, 341, 342, 352, 353, 354, 355, 356, 357, 358], toUInt16(0)) AS code) NOT IN (33, 34, 35, 36) OR lower(v) IN ('llm', 'chat', 'text_completion', 'generate_content', 'generation', 'embeddings', 'embedding', 'execute_tool', 'tool', 'invoke_agent', 'create_agent', 'agent', 'invoke_workflow', 'workflow', 'task', 'chain', 'retriever', 'retrieval', 'reranker', 'guardrail', 'evaluator', 'chat_model', 'parser', 'memory', 'unknown')), code, 0), mapKeys(attributes), mapValues(attributes)) AS codes,
        arraySort((v, code) -> code, arrayFilter((v, code) -> code > 0, mapValues(attributes), codes), arrayFilter(code -> code > 0, codes)) AS Values,
        arrayMap(code -> intDiv(code, 16), arraySort(arrayFilter(code -> code > 0, codes)) AS sorted) AS Fields
    SELECT
        * EXCEPT attributes,
        mapFilter((k, v) -> k IN ('mlflow.source.name', 'mlflow.source.type', 'deployment.environment.name', 'deployment.environment', 'langfuse.environment', 'mlflow.source.git.commit', 'vcs.ref.head.revision', 'vcs.repository.ref.revision', 'mlflow.source.git.branch', 'vcs.ref.head.name', 'vcs.repository.ref.name', 'mlflow.source.git.repoURL', 'vcs.repository.url.full', 'mlflow.source.git.dirty', 'mlflow.modelId', 'mlflow.user', 'app_version', 'service.version', 'langfuse.version', 'langfuse.release'), attributes) AS OwnProcess,
        (sorted[indexOf(Fields, 19)], Values[indexOf(Fields, 19)]) AS OwnSession,
        (sorted[indexOf(Fields, 20)], Values[indexOf(Fields, 20)]) AS OwnUser,
        (sorted[indexOf(Fields, 21)], Values[indexOf(Fields, 21)]) AS OwnRequest,
        (sorted[indexOf(Fields, 22)], Values[indexOf(Fields, 22)]) AS OwnResponse
    FROM
    (
        SELECT
            span.SpanName AS Name,
            span.StatusCode AS StatusCode,
            span.Duration AS Duration,
            cityHash64(span.ParentSpanId) AS Parent,
            span.ResourceAttributes AS Process,
            span.SpanAttributes AS attributes,
            whole.TraceId AS TraceId,
            whole.* EXCEPT TraceId
        FROM otel_traces_local AS span
        INNER JOIN
        (
            WITH
                StatusCode IN ('Error', 'STATUS_CODE_ERROR') AS failed,
                arrayFilter(event -> event['exception.type'] != '', Events.Attributes) AS exceptions,
                arrayConcat(arrayFilter(word -> word != '', arrayMap((field, nth, value) -> if(field <= 7 AND nth = 1 AND (field != 6 OR failed) AND (field != 4 OR has(Values, 'tool')), concat(char(64 + field), value), ''), Fields, arrayEnumerateUniq(Fields), Values)), arrayMap(event -> concat('F', event['exception.type']), exceptions),
                    if(Values[indexOf(Fields, 8)] = '', [], [concat('P', Values[indexOf(Fields, 8)], '/', Values[indexOf(Fields, 9)])]),
                    if(Values[indexOf(Fields, 11)] = '', [], [concat('P', if(Values[indexOf(Fields, 10)] = '', '', concat(substringUTF8(Values[indexOf(Fields, 10)], 1, 64), '/')), Values[indexOf(Fields, 11)])])
                ) AS words
            SELECT
                TraceId,
                resource,
                maxIf((toUInt16(999 - sorted[indexOf(Fields, 19) AS at_session]), Timestamp, SpanId, Values[at_session]), at_session > 0) AS Session,
                maxIf((toUInt16(999 - sorted[indexOf(Fields, 20) AS at_user]), Timestamp, SpanId, Values[at_user]), at_user > 0) AS User,
                minIf((Timestamp, SpanId, sorted[indexOf(Fields, 21) AS at_request], Values[at_request]), at_request > 0) AS Request,
                maxIf((toUnixTimestamp64Nano(Timestamp) + Duration, SpanId, sorted[indexOf(Fields, 22) AS at_response], Values[at_response]), at_response > 0) AS Response,
                groupArrayIf((Timestamp, SpanId, told), notEmpty(told)) AS Saying,
                arraySort(groupArray((rank, Timestamp, SpanId, -toInt64(Duration))))[1] AS First,
                groupArray(cityHash64(SpanId)) AS Ids,
                groupArray(if(ParentSpanId = '' OR ParentSpanId = SpanId, 0, cityHash64(ParentSpanId))) AS Parents,
                groupArray(toUnixTimestamp64Nano(Timestamp)) AS Starts,
                groupArray(Duration) AS Durations,
                groupArray(failed) AS Errors,
                groupArray(if((indexOf(Fields, 12) AS at_input_tokens) > 0, Numbers[at_input_tokens], if(has(Fields, 17), greatest(coalesce(JSONExtract(Values[indexOf(Fields, 17)], 'input_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'prompt_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'input', 'Nullable(Float64)'), -1.), -1.), -1.))) AS Inputs,
                groupArray(if((indexOf(Fields, 13) AS at_output_tokens) > 0, Numbers[at_output_tokens], if(has(Fields, 17), greatest(coalesce(JSONExtract(Values[indexOf(Fields, 17)], 'output_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'completion_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'output', 'Nullable(Float64)'), -1.), -1.), -1.))) AS Outputs,
                groupArray(if((indexOf(Fields, 14) AS at_cached_tokens) > 0, Numbers[at_cached_tokens], if(has(Fields, 17), greatest(coalesce(JSONExtract(Values[indexOf(Fields, 17)], 'cache_read_input_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'prompt_tokens_details', 'cached_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'input_cached_tokens', 'Nullable(Float64)'), -1.), -1.), -1.))) AS CachedInputs,
                groupArray(if((indexOf(Fields, 15) AS at_reasoning_tokens) > 0, Numbers[at_reasoning_tokens], if(has(Fields, 17), greatest(coalesce(JSONExtract(Values[indexOf(Fields, 17)], 'reasoning_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'completion_tokens_details', 'reasoning_tokens', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 17)], 'output_reasoning_tokens', 'Nullable(Float64)'), -1.), -1.), -1.))) AS Reasonings,
                groupArray(if((indexOf(Fields, 16) AS at_cost) > 0, Numbers[at_cost], if(has(Fields, 18), greatest(coalesce(JSONExtract(Values[indexOf(Fields, 18)], 'total_cost', 'Nullable(Float64)'), JSONExtract(Values[indexOf(Fields, 18)], 'total', 'Nullable(Float64)'), -1.), -1.), -1.))) AS Costs,
                groupArray(words[1]) AS SpanModels,
                groupUniqArrayArray(words) AS AllWords,
                minIf(
                    (
                        Timestamp, SpanId, if(notEmpty(exceptions), exceptions[1]['exception.type'], Values[indexOf(Fields, 6)]),
                        substringUTF8(if(exceptions[1]['exception.message'] != '', exceptions[1]['exception.message'], StatusMessage), 1, 1000)
                    ),
                    failed) AS EarliestError
            FROM
            (
                WITH arrayMap((k, v) -> if(v != '' AND NOT startsWith(v, '[Scrubbed due to') AND ((transform(k, ['gen_ai.response.model', 'gen_ai.request.model', 'llm.model_name', 'embedding.model_name', 'mlflow.llm.model', 'langfuse.observation.model.name', 'ai.response.model', 'ai.model.id', 'mlflow.spanType', 'openinference.span.kind', 'gen_ai.operation.name', 'traceloop.span.kind', 'langfuse.observation.type', 'gen_ai.tool.name', 'tool.name', 'ai.toolCall.name', 'traceloop.entity.name', 'gen_ai.response.finish_reasons', 'ai.response.finishReason', 'llm.finish_reason', 'error.type', 'mlflow.linkedPrompts', 'langfuse.observation.prompt.name', 'langfuse.observation.prompt.version', 'llm.prompt_template.template', 'llm.prompt_template.version', 'gen_ai.usage.input_tokens', 'llm.token_count.prompt', 'gen_ai.usage.prompt_tokens', 'ai.usage.inputTokens', 'ai.usage.promptTokens', 'gen_ai.usage.output_tokens', 'llm.token_count.completion', 'gen_ai.usage.completion_tokens', 'ai.usage.outputTokens', 'ai.usage.completionTokens', 'gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens', 'llm.token_count.prompt_details.cache_read', 'ai.usage.cachedInputTokens', 'gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens', 'llm.token_count.completion_details.reasoning', 'ai.usage.reasoningTokens', 'gen_ai.usage.cost', 'gen_ai.usage.total_cost', 'llm.cost.total', 'operation.cost', 'mlflow.chat.tokenUsage', 'langfuse.observation.usage_details', 'mlflow.llm.cost', 'langfuse.observation.cost_details', 'session.id', 'langfuse.session.id', 'traceloop.association.properties.session_id', 'ai.telemetry.metadata.sessionId', 'gen_ai.conversation.id', 'user.id', 'enduser.id', 'langfuse.user.id', 'traceloop.association.properties.user_id', 'ai.telemetry.metadata.userId', 'input.value', 'mlflow.spanInputs', 'gen_ai.input.messages', 'traceloop.entity.input', 'langfuse.observation.input', 'ai.prompt', 'logfire.msg', 'output.value', 'mlflow.spanOutputs', 'gen_ai.output.messages', 'traceloop.entity.output', 'langfuse.observation.output', 'ai.response.text', 'final_result'], [16, 17, 18, 19, 20, 21, 22, 23, 32, 33, 34, 35, 36, 48, 49, 50, 64, 80, 81, 82, 96, 112, 128, 144, 160, 176, 192, 193, 194, 195, 196, 208, 209, 210, 211, 212, 224, 225, 226, 227, 240, 241, 242, 243, 256, 257, 258, 259, 272, 273, 288, 289, 304, 305, 306, 307, 308, 320, 321, 322, 323, 324, 336, 337, 338, 339, 340, 341, 342, 352, 353, 354, 355, 356, 357, 358], toUInt16(0)) AS code) NOT IN (33, 34, 35, 36) OR lower(v) IN ('llm', 'chat', 'text_completion', 'generate_content', 'generation', 'embeddings', 'embedding', 'execute_tool', 'tool', 'invoke_agent', 'create_agent', 'agent', 'invoke_workflow', 'workflow', 'task', 'chain', 'retriever', 'retrieval', 'reranker', 'guardrail', 'evaluator', 'chat_model', 'parser', 'memory', 'unknown')), code, 0), mapKeys(SpanAttributes), mapValues(SpanAttributes)) AS codes
                SELECT
                    TraceId, SpanId, ParentSpanId, Timestamp, Duration, StatusCode, StatusMessage, Events.Attributes,
                    cityHash64(ResourceAttributes) AS resource,
                    multiIf(
                        ParentSpanId = '' OR ParentSpanId = SpanId, 0,
                        bitAnd(Flags, 0x300) = 0x300, 1,
                        bitAnd(Flags, 0x100) = 0 AND cityHash64(TraceId, ParentSpanId) NOT IN (SELECT cityHash64(TraceId, SpanId) FROM otel_traces_local), 2,
                        3) AS rank,
                    arraySort((v, code) -> code, arrayFilter((v, code) -> code > 0, mapValues(SpanAttributes), codes), arrayFilter(code -> code > 0, codes)) AS Values,
                    arraySort(arrayFilter(code -> code > 0, codes)) AS sorted,
                    arrayMap(code -> intDiv(code, 16), sorted) AS Fields,
                    arrayMap((value, field) -> if(field BETWEEN 12 AND 16 AND (toFloat64OrDefault(value, -1.) AS number) >= 0 AND number < 1e18, number, -1.), Values, Fields) AS Numbers,
                    mapFilter((k, v) -> (startsWith(k, 'mlflow.trace') OR startsWith(k, 'langfuse.trace.metadata.') OR startsWith(k, 'traceloop.association.properties.') OR startsWith(k, 'ai.telemetry.metadata.') OR k IN ('metadata', 'langfuse.trace.tags', 'tag.tags', 'logfire.tags')) AND k != 'mlflow.traceRequestId', SpanAttributes) AS told
                FROM otel_traces_local
                WHERE TraceId != '' AND SpanId != ''
            )
            GROUP BY TraceId, resource
        ) AS whole ON span.TraceId = whole.TraceId AND cityHash64(span.ResourceAttributes) = whole.resource AND span.SpanId = whole.First.3 AND span.Timestamp = whole.First.2 AND -toInt64(span.Duration) = whole.First.4
        -- One of the candidate's copies.
        ORDER BY TraceId, resource, StatusCode, Name, attributes
        LIMIT 1 BY TraceId, resource
    )
);

CREATE TABLE IF NOT EXISTS spanhouse_trace_rows_local ON CLUSTER 'main'
(
    Sorted DateTime64(9) COMMENT 'Start of a trace that stands at its start; 0 for one that waits for its root' CODEC(Delta(8), ZSTD(1)),
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    Version UInt128 COMMENT 'Of rows in one place the greatest counts: 32 bits of spans, 16 of stamped spans, 64 of the last edit, 10 of copies, 1 of a root without doubt, 5 of a digest' CODEC(ZSTD(1)),
    Gone UInt8 COMMENT '1: a tombstone' CODEC(LZ4),
    TraceHash UInt64 COMMENT '40 bits of a hash of TraceId' CODEC(T64, LZ4),
    Settled DateTime COMMENT 'When the row was made, by the engine''s clock' CODEC(Delta(4), LZ4),
    Rank UInt8 COMMENT 'Kind of the root: 0 no parent, 1 a remote parent, 2 a parent that is not stored, 3 no root' CODEC(LZ4),
    Doubt UInt8 COMMENT '1: the root is to be looked for among all spans' CODEC(LZ4),
    Partial UInt8 COMMENT '1: some spans had expired when the row was made' CODEC(LZ4),
    Timestamp DateTime64(9) COMMENT 'Start of the root, else of the earliest span' CODEC(Delta(8), ZSTD(1)),
    Duration UInt64 COMMENT 'Nanoseconds, of the root; 0 without root' CODEC(T64, ZSTD(1)),
    Name LowCardinality(String) COMMENT 'Name of the root' CODEC(LZ4),
    ServiceName LowCardinality(String) COMMENT 'Service of the root, else of the earliest span' CODEC(LZ4),
    State LowCardinality(String) COMMENT 'OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED' CODEC(LZ4),
    SpanCount UInt32 COMMENT 'Distinct spans' CODEC(T64, LZ4),
    ErrorCount UInt32 COMMENT 'Spans with status Error' CODEC(T64, LZ4),
    SessionId String COMMENT 'Session; empty without one' CODEC(ZSTD(1)),
    UserId String COMMENT 'End user; empty without one' CODEC(ZSTD(1)),
    ModelId LowCardinality(String) COMMENT 'MLflow LoggedModel; empty without one' CODEC(LZ4),
    SourceType LowCardinality(String) COMMENT 'Environment: mlflow.source.type' CODEC(LZ4),
    AppVersion LowCardinality(String) COMMENT 'Version of the application' CODEC(LZ4),
    GitCommit LowCardinality(String) COMMENT 'Full SHA' CODEC(LZ4),
    GitBranch LowCardinality(String) COMMENT 'Branch' CODEC(LZ4),
    GitDirty LowCardinality(String) COMMENT 'true, false, or empty where not known' CODEC(LZ4),
    ClientRequestId String COMMENT 'Request id that the application set' CODEC(LZ4),
    RequestPreview String COMMENT 'Begin of the input' CODEC(ZSTD(1)),
    ResponsePreview String COMMENT 'Begin of the output' CODEC(ZSTD(1)),
    InputTokens Nullable(UInt64) COMMENT 'Tokens in, each counted once; NULL if no span reports them' CODEC(T64, LZ4),
    OutputTokens Nullable(UInt64) COMMENT 'Tokens out, each counted once; NULL if no span reports them' CODEC(T64, LZ4),
    CachedTokens Nullable(UInt64) COMMENT 'Tokens in that came from a cache; NULL if no span reports them' CODEC(T64, LZ4),
    ReasoningTokens Nullable(UInt64) COMMENT 'Tokens out that were reasoning; NULL if no span reports them' CODEC(T64, LZ4),
    Cost Nullable(Float64) COMMENT 'USD, each dollar counted once; NULL if not known' CODEC(ZSTD(1)),
    CostSource LowCardinality(String) COMMENT 'sent, or computed from a price table; empty without cost' CODEC(LZ4),
    PriceVersion LowCardinality(String) COMMENT 'Price table that a computed cost is from' CODEC(LZ4),
    Models Array(LowCardinality(String)) COMMENT 'LLM models that its spans name' CODEC(LZ4),
    SpanTypes Array(LowCardinality(String)) COMMENT 'Types of its spans, in MLflow''s words' CODEC(LZ4),
    ErrorTypes Array(LowCardinality(String)) COMMENT 'Types of its exceptions and errors' CODEC(LZ4),
    ErrorMessage String COMMENT 'Message of its earliest error' CODEC(ZSTD(1)),
    ErrorFingerprint UInt64 COMMENT 'Hash of type and message without numbers; 0 without error' CODEC(LZ4),
    FinishReasons Array(LowCardinality(String)) COMMENT 'Why its models stopped' CODEC(LZ4),
    Tools Array(LowCardinality(String)) COMMENT 'Names of tools that it called' CODEC(LZ4),
    Prompts Array(LowCardinality(String)) COMMENT 'Versions of prompts that it used, as name/version' CODEC(LZ4),
    NameTemplate LowCardinality(String) COMMENT 'Name with its ids replaced' CODEC(LZ4),
    Services Nested
    (
        Name LowCardinality(String),
        Version LowCardinality(String),
        Commit LowCardinality(String),
        Branch LowCardinality(String),
        Environment LowCardinality(String),
        Spans UInt32,
        Errors UInt32,
        SelfTime UInt64
    ) COMMENT 'Each service that took part, by version: its spans, errors, and nanoseconds that are not its spans'' children''s' CODEC(LZ4),
    Metadata Map(LowCardinality(String), String) COMMENT 'Resource attributes of the root, aliases under MLflow''s keys, and over them what was set for the trace' CODEC(LZ4),
    Tags Map(LowCardinality(String), String) COMMENT 'Tags, edits included, and the name as mlflow.traceName' CODEC(LZ4),
    RootSpanId String COMMENT 'Span id of the root; empty without one' CODEC(ZSTD(1)),
    Before UInt64 COMMENT 'Nanoseconds from the start of the earliest span to Timestamp' CODEC(T64, LZ4),
    After UInt64 COMMENT 'Nanoseconds from Timestamp to the start of the latest span' CODEC(T64, LZ4),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_timestamp Timestamp TYPE minmax GRANULARITY 1,
    INDEX idx_settled Settled TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', Version, Gone)
PARTITION BY toDate32(Sorted)
ORDER BY (Sorted, TraceId)
SETTINGS
    -- A page of scattered traces reads one granule for each: small granules make it 2.5 times cheaper, for 2 % more disk.
    index_granularity = 1024,
    -- Small parts have one file for all columns, which is cheap to insert; merged parts have one per column, which is cheap to read.
    min_bytes_for_wide_part = 1048576,
    min_rows_for_wide_part = 20000,
    replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- A partition of one part needs no merging while it is read, and merging it removes its tombstones.
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1,
    allow_experimental_replacing_merge_with_cleanup = 1,
    enable_replacing_merge_with_cleanup_for_min_age_to_force_merge = 1
COMMENT 'Internal: the rows of traces, of which the latest version counts';

CREATE TABLE IF NOT EXISTS spanhouse_trace_rows ON CLUSTER 'main' AS spanhouse_trace_rows_local
ENGINE = Distributed('main', currentDatabase(), 'spanhouse_trace_rows_local', cityHash64(TraceId))
COMMENT 'Internal: the rows of traces, of which the latest version counts';

CREATE VIEW IF NOT EXISTS traces_local ON CLUSTER 'main'
(
    TraceId String COMMENT '32 hex digits',
    Timestamp DateTime64(9) COMMENT 'Start of the root, else of the earliest span',
    Duration UInt64 COMMENT 'Nanoseconds, of the root; 0 without root',
    Name LowCardinality(String) COMMENT 'Name of the root',
    ServiceName LowCardinality(String) COMMENT 'Service of the root, else of the earliest span',
    State LowCardinality(String) COMMENT 'OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED',
    SpanCount UInt32 COMMENT 'Distinct spans',
    ErrorCount UInt32 COMMENT 'Spans with status Error',
    SessionId String COMMENT 'Session; empty without one',
    UserId String COMMENT 'End user; empty without one',
    ModelId LowCardinality(String) COMMENT 'MLflow LoggedModel; empty without one',
    SourceType LowCardinality(String) COMMENT 'Environment: mlflow.source.type',
    AppVersion LowCardinality(String) COMMENT 'Version of the application',
    GitCommit LowCardinality(String) COMMENT 'Full SHA',
    GitBranch LowCardinality(String) COMMENT 'Branch',
    GitDirty LowCardinality(String) COMMENT 'true, false, or empty where not known',
    ClientRequestId String COMMENT 'Request id that the application set',
    RequestPreview String COMMENT 'Begin of the input',
    ResponsePreview String COMMENT 'Begin of the output',
    InputTokens Nullable(UInt64) COMMENT 'Tokens in, each counted once; NULL if no span reports them',
    OutputTokens Nullable(UInt64) COMMENT 'Tokens out, each counted once; NULL if no span reports them',
    CachedTokens Nullable(UInt64) COMMENT 'Tokens in that came from a cache; NULL if no span reports them',
    ReasoningTokens Nullable(UInt64) COMMENT 'Tokens out that were reasoning; NULL if no span reports them',
    Cost Nullable(Float64) COMMENT 'USD, each dollar counted once; NULL if not known',
    CostSource LowCardinality(String) COMMENT 'sent, or computed from a price table; empty without cost',
    PriceVersion LowCardinality(String) COMMENT 'Price table that a computed cost is from',
    Models Array(LowCardinality(String)) COMMENT 'LLM models that its spans name',
    SpanTypes Array(LowCardinality(String)) COMMENT 'Types of its spans, in MLflow''s words',
    ErrorTypes Array(LowCardinality(String)) COMMENT 'Types of its exceptions and errors',
    ErrorMessage String COMMENT 'Message of its earliest error',
    ErrorFingerprint UInt64 COMMENT 'Hash of type and message without numbers; 0 without error',
    FinishReasons Array(LowCardinality(String)) COMMENT 'Why its models stopped',
    Tools Array(LowCardinality(String)) COMMENT 'Names of tools that it called',
    Prompts Array(LowCardinality(String)) COMMENT 'Versions of prompts that it used, as name/version',
    NameTemplate LowCardinality(String) COMMENT 'Name with its ids replaced',
    `Services.Name` Array(LowCardinality(String)) COMMENT 'Services that took part, by version: service',
    `Services.Version` Array(LowCardinality(String)) COMMENT 'Services that took part, by version: version',
    `Services.Commit` Array(LowCardinality(String)) COMMENT 'Services that took part, by version: commit',
    `Services.Branch` Array(LowCardinality(String)) COMMENT 'Services that took part, by version: branch',
    `Services.Environment` Array(LowCardinality(String)) COMMENT 'Services that took part, by version: environment',
    `Services.Spans` Array(UInt32) COMMENT 'Services that took part, by version: spans',
    `Services.Errors` Array(UInt32) COMMENT 'Services that took part, by version: spans with status Error',
    `Services.SelfTime` Array(UInt64) COMMENT 'Services that took part, by version: nanoseconds of its spans without their children',
    Metadata Map(LowCardinality(String), String) COMMENT 'Resource attributes of the root, aliases under MLflow''s keys, and over them what was set for the trace',
    Tags Map(LowCardinality(String), String) COMMENT 'Tags, edits included, and the name as mlflow.traceName',
    RootSpanId String COMMENT 'Span id of the root; empty without one',
    Before UInt64 COMMENT 'Nanoseconds from the start of the earliest span to Timestamp',
    After UInt64 COMMENT 'Nanoseconds from Timestamp to the start of the latest span'
)
AS SELECT
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
    GitDirty,
    ClientRequestId,
    RequestPreview,
    ResponsePreview,
    InputTokens,
    OutputTokens,
    CachedTokens,
    ReasoningTokens,
    Cost,
    CostSource,
    PriceVersion,
    Models,
    SpanTypes,
    ErrorTypes,
    ErrorMessage,
    ErrorFingerprint,
    FinishReasons,
    Tools,
    Prompts,
    NameTemplate,
    `Services.Name`,
    `Services.Version`,
    `Services.Commit`,
    `Services.Branch`,
    `Services.Environment`,
    `Services.Spans`,
    `Services.Errors`,
    `Services.SelfTime`,
    Metadata,
    Tags,
    RootSpanId,
    Before,
    After
FROM spanhouse_trace_rows_local FINAL
COMMENT 'One row per trace';

CREATE TABLE IF NOT EXISTS traces ON CLUSTER 'main' AS traces_local
ENGINE = Distributed('main', currentDatabase(), 'traces_local', cityHash64(TraceId))
COMMENT 'One row per trace';

CREATE TABLE IF NOT EXISTS trace_tags_local ON CLUSTER 'main'
(
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    Key String COMMENT 'Key of the tag' CODEC(ZSTD(1)),
    Value String COMMENT 'Its value' CODEC(ZSTD(1)),
    EditedAt DateTime64(9) DEFAULT now64(9) COMMENT 'When it was set' CODEC(Delta(8), ZSTD(1)),
    Deleted UInt8 DEFAULT 0 COMMENT '1: the tag was deleted'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', EditedAt, Deleted)
ORDER BY (TraceId, Key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Edits of tags; read it with FINAL';

CREATE TABLE IF NOT EXISTS trace_tags ON CLUSTER 'main' AS trace_tags_local
ENGINE = Distributed('main', currentDatabase(), 'trace_tags_local', cityHash64(TraceId))
COMMENT 'Edits of tags; read it with FINAL';

CREATE TABLE IF NOT EXISTS spanhouse_deleted_traces_local ON CLUSTER 'main'
(
    TraceId String COMMENT '32 hex digits' CODEC(ZSTD(1)),
    DeletedAt DateTime64(3) DEFAULT now64(3) COMMENT 'When it was deleted'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
ORDER BY TraceId
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Internal: ledger of deleted traces';

CREATE TABLE IF NOT EXISTS spanhouse_deleted_traces ON CLUSTER 'main' AS spanhouse_deleted_traces_local
ENGINE = Distributed('main', currentDatabase(), 'spanhouse_deleted_traces_local', cityHash64(TraceId))
COMMENT 'Internal: ledger of deleted traces';

CREATE TABLE IF NOT EXISTS spanhouse_arrivals ON CLUSTER 'main'
(
    Arrival UInt64 COMMENT 'Of spanhouse_trace_parts' CODEC(NONE),
    Settled DateTime DEFAULT now() COMMENT 'When it was settled'
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/all', '{shard}-{replica}')
PARTITION BY toDate(Settled)
ORDER BY Arrival
TTL Settled + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Internal: arrivals of parts that are settled';

CREATE TABLE IF NOT EXISTS spanhouse_metadata_local ON CLUSTER 'main'
(
    Day Date32 COMMENT 'Day of the traces'' starts' CODEC(ZSTD(1)),
    Key String COMMENT 'Key of metadata' CODEC(ZSTD(1)),
    Values SimpleAggregateFunction(groupUniqArrayArray(256), Array(String)) COMMENT 'Its values that day' CODEC(ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')
PARTITION BY toYYYYMM(Day)
ORDER BY (Key, Day)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Internal: values of metadata by day';

CREATE TABLE IF NOT EXISTS spanhouse_metadata ON CLUSTER 'main' AS spanhouse_metadata_local
ENGINE = Distributed('main', currentDatabase(), 'spanhouse_metadata_local', rand())
COMMENT 'Internal: values of metadata by day';

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
    FROM spanhouse_metadata AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key, Value
COMMENT 'Values of metadata, by key';

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
    FROM spanhouse_metadata AS part
    GROUP BY part.Key, part.Day
)
GROUP BY Key
COMMENT 'Keys of metadata';

CREATE TABLE IF NOT EXISTS spanhouse_models_local ON CLUSTER 'main'
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
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800
COMMENT 'Internal: models as applications name them';

CREATE TABLE IF NOT EXISTS spanhouse_models ON CLUSTER 'main' AS spanhouse_models_local
ENGINE = Distributed('main', currentDatabase(), 'spanhouse_models_local', rand())
COMMENT 'Internal: models as applications name them';

CREATE VIEW IF NOT EXISTS logged_models ON CLUSTER 'main' AS
SELECT
    part.ModelId AS ModelId,
    max(part.Name) AS Name,
    max(part.Params) AS Params,
    min(part.FirstSeen) AS FirstSeen,
    max(part.LastSeen) AS LastSeen,
    min(part.FirstCommit).commit AS FirstCommit,
    max(part.LastCommit).commit AS LastCommit
FROM spanhouse_models AS part
GROUP BY part.ModelId
COMMENT 'Models as applications name them';

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts ON CLUSTER 'main' AS
WITH
    -- 2106-02-07T06:28:15 is the last second that DateTime holds, and readers add one.
    time -> toDateTime(least(greatest(time, toDateTime64(0, 9, 'UTC')), toDateTime64('2106-02-07 06:28:14', 9, 'UTC'))) AS to_second
SELECT
    row.TraceId AS TraceId,
    to_second(fromUnixTimestamp64Nano(toUnixTimestamp64Nano(row.Timestamp) - toInt64(row.Before))) AS Start,
    to_second(fromUnixTimestamp64Nano(toUnixTimestamp64Nano(row.Timestamp) + toInt64(row.After))) AS End
FROM spanhouse_trace_rows AS row
WHERE NOT row.Gone
COMMENT 'Times of traces, for the ClickHouse datasource of Grafana';

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv ON CLUSTER 'main' AS
SELECT
    times.TraceId AS TraceId,
    times.Start AS Start,
    times.End AS End
FROM otel_traces_trace_id_ts AS times
COMMENT 'Internal: stands in the place of a view of the Collector';

CREATE TABLE IF NOT EXISTS spanhouse_turns ON CLUSTER 'main'
(
    Turn UInt64 COMMENT 'Number; the last one counts',
    Holder String COMMENT 'Process whose turn it is; empty if it was given back',
    Until DateTime64(3) COMMENT 'When it ends if it is neither prolonged nor given back, by the engine''s clock'
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/all', '{shard}-{replica}')
ORDER BY Turn
TTL toDateTime(Until) + INTERVAL 1 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800
COMMENT 'Internal: which process writes rows of traces';

CREATE TABLE IF NOT EXISTS spanhouse_prices ON CLUSTER 'main'
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/all', '{shard}-{replica}')
ORDER BY (Version, Model, ValidFrom)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Prices of models that users set, beside those that come with spanhouse';
