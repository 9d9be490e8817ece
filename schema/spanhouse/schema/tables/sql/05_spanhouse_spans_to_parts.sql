-- Makes parts of an insert's spans. Attributes are looked up once, as sorted codes: the first code of a field counts (conventions.py).
-- The root candidate is chosen first and its maps are copied afterwards: argMin of a map costs ten times as much.
-- A table name in a materialized view means the inserted block, in subqueries too.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanhouse_spans_to_parts TO spanhouse_trace_parts AS
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
        {codes(attributes)} AS codes,
        {sorted(attributes)} AS Values,
        arrayMap(code -> intDiv(code, 16), arraySort(arrayFilter(code -> code > 0, codes)) AS sorted) AS Fields
    SELECT
        * EXCEPT attributes,
        mapFilter((k, v) -> k IN ({process_keys}), attributes) AS OwnProcess,
        (sorted[indexOf(Fields, {field(session)})], {said(session)}) AS OwnSession,
        (sorted[indexOf(Fields, {field(user)})], {said(user)}) AS OwnUser,
        (sorted[indexOf(Fields, {field(request)})], {said(request)}) AS OwnRequest,
        (sorted[indexOf(Fields, {field(response)})], {said(response)}) AS OwnResponse
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
        FROM otel_traces AS span
        INNER JOIN
        (
            WITH
                StatusCode IN ('Error', 'STATUS_CODE_ERROR') AS failed,
                arrayFilter(event -> event['exception.type'] != '', Events.Attributes) AS exceptions,
                arrayConcat({words}, arrayMap(event -> concat({letter(error_type)}, event['exception.type']), exceptions),
                    if({said(prompt_name)} = '', [], [concat('P', {said(prompt_name)}, '/', {said(prompt_version)})]),
                    if({said(template_version)} = '', [], [concat('P', if({said(template)} = '', '', concat(substringUTF8({said(template)}, 1, 64), '/')), {said(template_version)})])
                ) AS words
            SELECT
                TraceId,
                resource,
                maxIf((toUInt16(999 - sorted[indexOf(Fields, {field(session)}) AS at_session]), Timestamp, SpanId, Values[at_session]), at_session > 0) AS Session,
                maxIf((toUInt16(999 - sorted[indexOf(Fields, {field(user)}) AS at_user]), Timestamp, SpanId, Values[at_user]), at_user > 0) AS User,
                minIf((Timestamp, SpanId, sorted[indexOf(Fields, {field(request)}) AS at_request], Values[at_request]), at_request > 0) AS Request,
                maxIf((toUnixTimestamp64Nano(Timestamp) + Duration, SpanId, sorted[indexOf(Fields, {field(response)}) AS at_response], Values[at_response]), at_response > 0) AS Response,
                groupArrayIf((Timestamp, SpanId, told), notEmpty(told)) AS Saying,
                arraySort(groupArray((rank, Timestamp, SpanId, -toInt64(Duration))))[1] AS First,
                groupArray(cityHash64(SpanId)) AS Ids,
                groupArray(if(ParentSpanId = '' OR ParentSpanId = SpanId, 0, cityHash64(ParentSpanId))) AS Parents,
                groupArray(toUnixTimestamp64Nano(Timestamp)) AS Starts,
                groupArray(Duration) AS Durations,
                groupArray(failed) AS Errors,
                groupArray({number(input_tokens)}) AS Inputs,
                groupArray({number(output_tokens)}) AS Outputs,
                groupArray({number(cached_tokens)}) AS CachedInputs,
                groupArray({number(reasoning_tokens)}) AS Reasonings,
                groupArray({number(cost)}) AS Costs,
                groupArray(words[1]) AS SpanModels,
                groupUniqArrayArray(words) AS AllWords,
                minIf(
                    (
                        Timestamp, SpanId, if(notEmpty(exceptions), exceptions[1]['exception.type'], {said(error_type)}),
                        substringUTF8(if(exceptions[1]['exception.message'] != '', exceptions[1]['exception.message'], StatusMessage), 1, {preview_characters})
                    ),
                    failed) AS EarliestError
            FROM
            (
                WITH {codes(SpanAttributes)} AS codes
                SELECT
                    TraceId, SpanId, ParentSpanId, Timestamp, Duration, StatusCode, StatusMessage, Events.Attributes,
                    cityHash64(ResourceAttributes) AS resource,
                    multiIf(
                        ParentSpanId = '' OR ParentSpanId = SpanId, 0,
                        bitAnd(Flags, 0x300) = 0x300, 1,
                        bitAnd(Flags, 0x100) = 0 AND cityHash64(TraceId, ParentSpanId) NOT IN (SELECT cityHash64(TraceId, SpanId) FROM otel_traces), 2,
                        3) AS rank,
                    {sorted(SpanAttributes)} AS Values,
                    arraySort(arrayFilter(code -> code > 0, codes)) AS sorted,
                    arrayMap(code -> intDiv(code, 16), sorted) AS Fields,
                    {numbers} AS Numbers,
                    mapFilter((k, v) -> {tells(k)}, SpanAttributes) AS told
                FROM otel_traces
                WHERE TraceId != '' AND SpanId != ''
            )
            GROUP BY TraceId, resource
        ) AS whole ON span.TraceId = whole.TraceId AND cityHash64(span.ResourceAttributes) = whole.resource AND span.SpanId = whole.First.3 AND span.Timestamp = whole.First.2 AND -toInt64(span.Duration) = whole.First.4
        -- One of the candidate's copies.
        ORDER BY TraceId, resource, StatusCode, Name, attributes
        LIMIT 1 BY TraceId, resource
    )
);
