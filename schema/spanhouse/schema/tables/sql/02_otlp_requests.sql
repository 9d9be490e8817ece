-- Raw OTLP requests, as the engine reads them from protobuf. This table stores nothing: its view decodes them into otel_traces.
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
ENGINE = Null
COMMENT 'Internal: raw OTLP requests go in, nothing is stored';
