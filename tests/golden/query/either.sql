-- p0: "1"
-- p1: "a"
-- p2: "x"
-- p3: "b"
-- p4: "y"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM (
SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)
FROM trace_rows
WHERE (AppVersion = {p0:String} OR ((mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String}) AND (mapContains(Tags, {p3:String}) AND Tags[{p3:String}] = {p4:String})))
  AND Key NOT IN (SELECT Key FROM trace_repeats)
UNION ALL
SELECT * EXCEPT (Key)
FROM traces_merged
WHERE Key IN (SELECT Key FROM trace_repeats)
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (((AppVersion = {p0:String})) OR (((mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String})) AND ((mapContains(SentTags, {p3:String}) AND SentTags[{p3:String}] = {p4:String}) OR TraceId IN (SELECT TraceId FROM trace_tags WHERE Key = {p3:String} AND Value = {p4:String}))) OR (bitTest(Own, 1) AND AppVersion = {p0:String}) OR ((has(TraceKeys, {p1:String}) AND (mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String}))) OR ((mapContains(SentTags, {p3:String}) AND SentTags[{p3:String}] = {p4:String}))))
  AND (AppVersion = {p0:String} OR ((mapContains(Metadata, {p1:String}) AND Metadata[{p1:String}] = {p2:String}) AND (mapContains(Tags, {p3:String}) AND Tags[{p3:String}] = {p4:String})))
)
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
