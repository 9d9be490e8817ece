-- Where raw OTLP requests go in (FORMAT ProtobufSingle with otlp.proto). Nothing is stored here: the view below it writes otel_traces.
CREATE TABLE IF NOT EXISTS otlp_requests
(
    resource_spans Array(Tuple(
        resource Tuple(attributes {attribute_map}),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes {attribute_map}),
            spans Array(Tuple(
                trace_id String,
                span_id String,
                trace_state String,
                parent_span_id String,
                name String,
                kind Int32,
                start_time_unix_nano UInt64,
                end_time_unix_nano UInt64,
                attributes {attribute_map},
                dropped_attributes_count UInt32,
                events Array(Tuple(time_unix_nano UInt64, name String, attributes {attribute_map})),
                dropped_events_count UInt32,
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes {attribute_map})),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32),
                flags UInt32)),
            schema_url String)),
        schema_url String))
)
ENGINE = Null;

-- Values as the Collector prints them: pcommon Value.AsString, numbers in JSON's shortest form, arrays as compact JSON.
-- Oneof numbers: 1 string, 2 bool, 3 int, 4 double, 5 array, 6 map, 7 bytes; 0 is "no value" and gives ''.
CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_requests_to_otel_traces TO otel_traces AS
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
