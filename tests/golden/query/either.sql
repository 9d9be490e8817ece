-- p0: "app_version"
-- p1: "1"
-- p2: "a"
-- p3: "x"
-- p4: "b"
-- p5: "y"
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1
FROM traces
WHERE ((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) OR ((mapContains(Metadata, {p2:String}) AND Metadata[{p2:String}] = {p3:String}) AND (mapContains(Tags, {p4:String}) AND Tags[{p4:String}] = {p5:String})))
  AND TraceId IN (SELECT TraceId FROM trace_carriers WHERE (((AppVersion = {p1:String})) OR (((mapContains(TraceMetadata, {p2:String}) AND TraceMetadata[{p2:String}] = {p3:String}) OR (mapContains(ProcessMetadata, {p2:String}) AND ProcessMetadata[{p2:String}] = {p3:String})) AND ((mapContains(Tags, {p4:String}) AND Tags[{p4:String}] = {p5:String}) OR TraceId IN (SELECT TraceId FROM trace_tags WHERE Key = {p4:String} AND Value = {p5:String}))) OR ((mapContains(TraceMetadata, {p2:String}) AND TraceMetadata[{p2:String}] = {p3:String})) OR ((mapContains(Tags, {p4:String}) AND Tags[{p4:String}] = {p5:String}))))
ORDER BY toUnixTimestamp64Milli(Timestamp) DESC NULLS LAST, concat('tr-', TraceId) ASC NULLS LAST
