-- Merges parts into rows of spanhouse_trace_rows, one for each trace of {parts}: a pure function of the spans that the parts tell of.
-- Written for a cheap analysis, which is most of what a small settle costs: few expressions, spans as tuples, and a step of its own for what is used
-- more than once, since the engine analyses an alias anew wherever it stands.
WITH
known AS
(
    -- Spans belong to what their process says of itself: a candidate's own keys are its own, whatever part it stands in.
    SELECT *, arrayMap(process -> {effective(process)}, if(empty(Own), [Process], [Process, mapUpdate(Process, Own)])) AS Known
    FROM {parts}
),
owned AS
(
    SELECT
        *,
        Known[1] AS OfProcess,
        (ServiceName, OfProcess['app_version'], OfProcess['mlflow.source.git.commit'], OfProcess['mlflow.source.git.branch'], OfProcess['mlflow.source.type']) AS Owner,
        toUInt8(OfProcess['mlflow.source.git.commit'] != '' OR OfProcess['mlflow.source.name'] != '') AS Stamped
    FROM known
),
merged AS
(
    SELECT
        Key AS Hash, TraceId, Rank, Start, SpanId, Parent, Duration AS CandidateDuration, Name AS CandidateName, ServiceName, StatusCode,
        Known[-1] AS Effective,
        if(OwnSession != '' AND Rank < 3, OwnSession, (max(Session) OVER w).value) AS SessionOf,
        if(OwnUser != '' AND Rank < 3, OwnUser, (max(User) OVER w).value) AS UserOf,
        groupArrayArray(Said) OVER w AS AllSaid,
        groupUniqArray(Owner) OVER w AS Owners,
        groupArrayArray(arrayZip(
            `Spans.id`, arrayWithConstant(length(`Spans.id`) AS spans, Stamped), `Spans.start`, CAST(`Spans.duration`, 'Array(Float64)'), `Spans.error`,
            `Spans.parent`, arrayWithConstant(spans, cityHash64(Owner)), `Spans.input`, `Spans.output`, `Spans.cached`, `Spans.reasoning`, `Spans.cost`,
            arrayWithConstant(spans, cityHash64(Process)))) OVER w AS AllSpans,
        min(Arrival) OVER w != max(Arrival) OVER w AS Several
    FROM owned
    WINDOW w AS (PARTITION BY Key ORDER BY Rank, Start, SpanId, Stamped DESC, Owner, Process, Duration DESC, StatusCode, Name, Own, OwnSession, OwnUser ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    QUALIFY row_number() OVER w = 1
),
distinct_spans AS
(
    SELECT
        *,
        arrayFold(
            (said, one) -> mapUpdate(said, mapFilter((k, v) -> v != '' OR startsWith(k, 'mlflow.traceM') OR startsWith(k, 'mlflow.traceTag'), one.attributes)),
            arraySort(one -> (one.id = SpanId AND Rank < 3, one.start, one.id, arraySort(CAST(one.attributes, 'Array(Tuple(String, String))'))), AllSaid),
            CAST(map(), 'Map(String, String)')) AS Last,
        -- Of a span's copies the stamped one counts, then the greater one.
        arrayReverse(arrayFilter((copy, time) -> time = 1, arrayReverseSort(AllSpans) AS copies, arrayEnumerateUniq(copies.1))) AS Spans
    FROM merged
),
family AS
(
    SELECT
        *,
        arrayConcat(Spans.1, Spans.6) AS Both,
        arrayWithConstant(length(Spans), 0.) AS Nothing,
        arrayConcat(arrayWithConstant(length(Spans), 1), arrayWithConstant(length(Spans), 0)) AS Stored,
        -- Children and their time by their parents' ids; spans are sorted by id, and a parent that is not stored counts as none.
        arrayReduce('sumMap', [Both], [arrayConcat(Nothing, arrayWithConstant(length(Spans), 1.))], [arrayConcat(Nothing, Spans.4)], [Stored]) AS Children
    FROM distinct_spans
),
times AS
(
    SELECT
        *,
        arrayFilter((kids, stored) -> stored > 0, Children.2, Children.4) AS Kids,
        arrayReduce('sumMap', [Spans.7], [arrayWithConstant(length(Spans), 1)], [Spans.5], [arrayMap(
            (duration, children) -> duration - least(duration, children), Spans.4, arrayFilter((took, stored) -> stored > 0, Children.3, Children.4))]) AS ByOwner
    FROM family
),
counted AS
(
    WITH
        -- What a span's children come to, in the order of ids.
        values -> arrayFilter((sum, stored) -> stored > 0, (arrayReduce('sumMap', [Both], [arrayConcat(Nothing, values)], [Stored]) AS sums).2, sums.3) AS below
    SELECT
        *,
        -- Places of its row, and 1 where its tombstone goes.
        arrayConcat(
            if(Rank > 0 OR Several, [(toDateTime64(0, 9, 'UTC'), toUInt8(Rank = 0))], []),
            if(Rank = 0, [(greatest(Start, fromUnixTimestamp64Nano(toInt64(1))), toUInt8(0))], [])) AS Places,
        arraySum(Spans.2) AS Stamped,
        arrayUniq(AllSpans) - length(Spans) + arrayUniq(AllSaid) AS Copies,
        -- A span adds what the nearest of its descendants that report the same number do not account for. A silent span hands on what is below it,
        -- so there are as many steps as silent parents may stand in a row.
        arrayMap(
            own -> if(arrayMax(own) < 0, NULL, arraySum((number, under) -> greatest(number, 0) - if(number < 0, 0, least(number, under)), own, below(arrayFold(
                (up, step) -> arrayMap((number, under) -> if(number < 0, under, number), own, below(up)),
                range(if(arrayMax(own) < 0, 0, least(32, arrayCount((number, children) -> number < 0 AND children > 0, own, Kids)))),
                arrayMap(number -> greatest(number, 0), own))))),
            [Spans.8, Spans.9, Spans.10, Spans.11, Spans.12]) AS Counted,
        -- An owner of copies that do not count did not take part.
        arraySort(arrayFilter(owner -> owner.2 > 0, arrayMap(
            owner -> (owner, ByOwner.2[indexOf(ByOwner.1, cityHash64(owner)) AS at], ByOwner.3[at], ByOwner.4[at]), Owners))) AS Took,
        mapUpdate(
            mapUpdate(Effective, mapFilter((k, v) -> v != '', map('mlflow.trace.session', SessionOf, 'mlflow.trace.user', UserOf))),
            mapApply((k, v) -> (substring(k, 22), v), mapFilter((k, v) -> startsWith(k, 'mlflow.traceMetadata.'), Last))) AS Metadata
    FROM times
)
SELECT
    {first}TraceId,
    bitAnd(Hash, 0xFFFFFFFFFF) AS Key,
    now() AS Settled,
    Rank,
    Rank = 2 AND has(Spans.1, Parent) AS Doubt,
    toUInt8(0) AS Partial,
    Start AS Timestamp,
    if(Rank = 3, 0, CandidateDuration) AS Duration,
    if(Rank = 3, '', CandidateName) AS Name,
    ServiceName,
    multiIf(
        Last['mlflow.traceState'] IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), Last['mlflow.traceState'],
        Rank = 3, 'IN_PROGRESS',
        StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR',
        'OK') AS State,
    length(Spans) AS SpanCount,
    arraySum(Spans.5) AS ErrorCount,
    Metadata['mlflow.trace.session'] AS SessionId,
    Metadata['mlflow.trace.user'] AS UserId,
    Metadata['mlflow.modelId'] AS ModelId,
    Metadata['mlflow.source.type'] AS SourceType,
    Metadata['app_version'] AS AppVersion,
    Metadata['mlflow.source.git.commit'] AS GitCommit,
    Metadata['mlflow.source.git.branch'] AS GitBranch,
    Metadata['mlflow.source.git.dirty'] AS GitDirty,
    Last['mlflow.traceClientRequestId'] AS ClientRequestId,
    Last['mlflow.traceRequestPreview'] AS RequestPreview,
    Last['mlflow.traceResponsePreview'] AS ResponsePreview,
    Counted[1] AS InputTokens,
    Counted[2] AS OutputTokens,
    Counted[3] AS CachedTokens,
    Counted[4] AS ReasoningTokens,
    Counted[5] AS Cost,
    if(Cost IS NULL, '', 'sent') AS CostSource,
    Took.1.1 AS `Services.Name`,
    Took.1.2 AS `Services.Version`,
    Took.1.3 AS `Services.Commit`,
    Took.1.4 AS `Services.Branch`,
    Took.1.5 AS `Services.Environment`,
    Took.2 AS `Services.Spans`,
    Took.3 AS `Services.Errors`,
    Took.4 AS `Services.SelfTime`,
    Metadata,
    mapUpdate(
        mapApply((k, v) -> (substring(k, 17), v), mapFilter((k, v) -> startsWith(k, 'mlflow.traceTag.'), Last)),
        mapFilter((k, v) -> v != '', map('mlflow.traceName', Name))) AS Tags,
    if(Rank = 3, '', SpanId) AS RootSpanId,
    toUnixTimestamp64Nano(Start) - arrayMin(AllSpans.3) AS Before,
    arrayMax(AllSpans.3) - toUnixTimestamp64Nano(Start) AS After
FROM counted
