-- Decodes OTLP. Values are printed like the Collector's pcommon Value.AsString: numbers in JSON's shortest form, arrays as compact JSON.
-- Oneof numbers: 1 string, 2 bool, 3 int, 4 double, 5 array, 6 map, 7 bytes; 0 means no value and gives ''.
-- Rules of this text, each measured: ARRAY JOIN copies every column that it unfolds, so scopes are not joined. A resource's map gets its stored
-- type before it is repeated for each span. All attributes are rendered in one place: each further place costs 8 ms of analysis per insert.
-- A branch of multiIf filters all columns that it reads, those of nested branches included: so branches stand side by side, and arrays of
-- texts, the most frequent ones, have a branch that reads only their texts.
CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_requests_to_otel_traces TO otel_traces AS
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
