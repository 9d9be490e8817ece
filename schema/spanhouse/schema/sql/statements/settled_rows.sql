-- Merges parts into rows of spanhouse_trace_rows, one for each trace of {parts}: a pure function of the spans that the parts tell of.
-- Written for a cheap analysis, which is most of what a small settle costs: few expressions, spans as tuples, each level by name.
SELECT
    TraceId,
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
    arrayMax(AllSpans.3) - toUnixTimestamp64Nano(Start) AS After,
    arraySum(Spans.2) AS Stamped,
    arrayUniq(AllSpans) - SpanCount + arrayUniq(AllSaid) AS Copies,
    Several
FROM
(
    WITH
        Spans.1 AS Ids,
        Spans.6 AS Parents,
        arrayConcat(Ids, Parents) AS Both,
        arrayWithConstant(length(Spans), 0.) AS Nothing,
        -- What a span's children come to, in the order of ids; spans are sorted by id, and a parent that is not stored counts as none.
        (values) -> arrayFilter((sum, stored) -> stored > 0, (arrayReduce('sumMap', [Both], [arrayConcat(Nothing, values)], [Stored]) AS sums).2, sums.3) AS below,
        below(arrayWithConstant(length(Spans), 1.)) AS Kids,
        arrayMap((duration, children) -> duration - least(duration, children), Spans.4, below(Spans.4)) AS Selves,
        arrayReduce('sumMap', [Spans.7], [arrayWithConstant(length(Spans), 1)], [Spans.5], [Selves]) AS ByOwner
    SELECT
        *,
        arrayConcat(arrayWithConstant(length(Spans), 1), arrayWithConstant(length(Spans), 0)) AS Stored,
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
    FROM
    (
        SELECT
            *,
            arrayFold(
                (said, one) -> mapUpdate(said, mapFilter((k, v) -> v != '' OR startsWith(k, 'mlflow.traceM') OR startsWith(k, 'mlflow.traceTag'), one.attributes)),
                arraySort(one -> (one.id = SpanId AND Rank < 3, one.start, one.id, arraySort(CAST(one.attributes, 'Array(Tuple(String, String))'))), AllSaid),
                CAST(map(), 'Map(String, String)')) AS Last,
            -- Of a span's copies the stamped one counts, then the greater one.
            arrayReverse(arrayFilter((copy, time) -> time = 1, arrayReverseSort(AllSpans) AS copies, arrayEnumerateUniq(copies.1))) AS Spans
        FROM
        (
            -- The root is the first candidate. Lists are gathered by a group, not over a window, which would copy them for each part.
            SELECT
                part.Key AS Hash,
                anyIf(part.TraceId, part.Head) AS TraceId,
                anyIf(part.Rank, part.Head) AS Rank,
                anyIf(part.Start, part.Head) AS Start,
                anyIf(part.SpanId, part.Head) AS SpanId,
                anyIf(part.Parent, part.Head) AS Parent,
                anyIf(part.Duration, part.Head) AS CandidateDuration,
                anyIf(part.Name, part.Head) AS CandidateName,
                anyIf(part.ServiceName, part.Head) AS ServiceName,
                anyIf(part.StatusCode, part.Head) AS StatusCode,
                anyIf(part.Effective, part.Head) AS Effective,
                if((anyIf(part.OwnSession, part.Head AND part.Rank < 3) AS own_session) != '', own_session, max(part.Session).value) AS SessionOf,
                if((anyIf(part.OwnUser, part.Head AND part.Rank < 3) AS own_user) != '', own_user, max(part.User).value) AS UserOf,
                groupArrayArray(part.Said) AS AllSaid,
                groupUniqArray(part.Owner) AS Owners,
                groupArrayArray(part.Facts) AS AllSpans,
                min(part.Arrival) != max(part.Arrival) AS Several
            FROM
            (
                SELECT
                    *,
                    -- Spans belong to what their process says of itself: a candidate's own keys are its own, whatever part it stands in.
                    arrayMap(process -> {effective(process)}, if(empty(Own), [Process], [Process, mapUpdate(Process, Own)])) AS Known,
                    Known[-1] AS Effective,
                    Known[1] AS OfProcess,
                    (ServiceName, OfProcess['app_version'], OfProcess['mlflow.source.git.commit'], OfProcess['mlflow.source.git.branch'], OfProcess['mlflow.source.type']) AS Owner,
                    toUInt8(Owner.3 != '' OR OfProcess['mlflow.source.name'] != '') AS Stamped,
                    arrayZip(`Spans.id`, arrayWithConstant(length(`Spans.id`) AS spans, Stamped), `Spans.start`, CAST(`Spans.duration`, 'Array(Float64)'), `Spans.error`, `Spans.parent`,
                        arrayWithConstant(spans, cityHash64(Owner)), `Spans.input`, `Spans.output`, `Spans.cached`, `Spans.reasoning`, `Spans.cost`, arrayWithConstant(spans, cityHash64(Process))) AS Facts,
                    row_number() OVER (PARTITION BY Key ORDER BY Rank, Start, SpanId, Stamped DESC, Owner, Process, Duration DESC, StatusCode, Name, Own, OwnSession, OwnUser) = 1 AS Head
                FROM {parts}
            ) AS part
            GROUP BY part.Key
        )
    )
)
