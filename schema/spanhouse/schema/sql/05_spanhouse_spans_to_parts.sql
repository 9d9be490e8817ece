-- The candidate for the root is chosen first and its maps are copied then: argMin of a map costs ten times as much.
-- Names in a materialized view mean the inserted block, in subqueries as well.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanhouse_spans_to_parts TO spanhouse_trace_parts AS
SELECT
    now64(3) AS Received,
    cityHash64(initialQueryID(), now64(9), hostName()) AS Arrival,
    cityHash64(TraceId) AS Key,
    TraceId,
    candidate.rank AS Rank,
    candidate.start AS Start,
    candidate.id AS SpanId,
    candidate.parent AS Parent,
    candidate.name AS Name,
    candidate.service AS ServiceName,
    candidate.status AS StatusCode,
    candidate.duration AS Duration,
    candidate.process AS Process,
    mapFilter((k, v) -> k IN ({process_keys}), candidate.attributes) AS Own,
    {session(candidate.attributes)} AS OwnSession,
    {user(candidate.attributes)} AS OwnUser,
    LatestSession AS Session,
    LatestUser AS User,
    Saying AS Said,
    Ids AS `Spans.id`,
    Parents AS `Spans.parent`,
    Starts AS `Spans.start`,
    Durations AS `Spans.duration`,
    Errors AS `Spans.error`,
    Inputs AS `Spans.input`,
    Outputs AS `Spans.output`,
    arrayMap(id -> toFloat64(-1), Ids) AS `Spans.cached`,
    arrayMap(id -> toFloat64(-1), Ids) AS `Spans.reasoning`,
    Costs AS `Spans.cost`
FROM
(
    SELECT
        TraceId,
        cityHash64(ResourceAttributes) AS resource,
        multiIf(
            ParentSpanId = '' OR ParentSpanId = SpanId, 0,
            bitAnd(Flags, 0x300) = 0x300, 1,
            bitAnd(Flags, 0x100) = 0 AND cityHash64(TraceId, ParentSpanId) NOT IN (SELECT cityHash64(TraceId, SpanId) FROM otel_traces), 2,
            3) AS rank,
        Timestamp AS start,
        SpanId AS id,
        cityHash64(ParentSpanId) AS parent,
        SpanName AS name,
        ServiceName AS service,
        StatusCode AS status,
        Duration AS duration,
        ResourceAttributes AS process,
        SpanAttributes AS attributes
    FROM otel_traces
    ORDER BY TraceId, resource, rank, start, id, duration DESC, status, name, attributes
    LIMIT 1 BY TraceId, resource
) AS candidate
ANY INNER JOIN
(
    WITH
        {session(SpanAttributes)} AS session,
        {user(SpanAttributes)} AS user,
        -- NaN, infinities and texts are no numbers, and no count of tokens has 18 digits.
        text -> if((toFloat64OrDefault(text, -1.) AS number) >= 0 AND number < 1e18, number, -1) AS to_number
    SELECT
        TraceId,
        cityHash64(ResourceAttributes) AS resource,
        maxIf((Timestamp, SpanId, session), session != '') AS LatestSession,
        maxIf((Timestamp, SpanId, user), user != '') AS LatestUser,
        groupArrayIf(
            (Timestamp, SpanId, mapFilter((k, v) -> startsWith(k, 'mlflow.trace'), SpanAttributes)),
            arrayExists(k -> startsWith(k, 'mlflow.trace') AND k != 'mlflow.traceRequestId', mapKeys(SpanAttributes))) AS Saying,
        groupArray(cityHash64(SpanId)) AS Ids,
        groupArray(if(ParentSpanId = '' OR ParentSpanId = SpanId, 0, cityHash64(ParentSpanId))) AS Parents,
        groupArray(toUnixTimestamp64Nano(Timestamp)) AS Starts,
        groupArray(Duration) AS Durations,
        groupArray(StatusCode IN ('Error', 'STATUS_CODE_ERROR')) AS Errors,
        groupArray(to_number(SpanAttributes['gen_ai.usage.input_tokens'])) AS Inputs,
        groupArray(to_number(SpanAttributes['gen_ai.usage.output_tokens'])) AS Outputs,
        groupArray(to_number(SpanAttributes['gen_ai.usage.cost'])) AS Costs
    FROM otel_traces
    WHERE TraceId != '' AND SpanId != ''
    GROUP BY TraceId, resource
) AS whole USING (TraceId, resource);
