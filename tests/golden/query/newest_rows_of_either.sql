-- p0: "a"
-- p1: "x"
-- p2: "1"
-- p3: "y"
-- p4: 142
SELECT TraceId, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, Name, ServiceName, State, SpanCount, ErrorCount, ClientRequestId, RequestPreview, ResponsePreview, InputTokens, OutputTokens, Cost, Metadata, Tags, RootSpanId, toUnixTimestamp64Milli(Timestamp) AS Key0, concat('tr-', TraceId) AS Key1, (((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String}) AND AppVersion = {p2:String}) OR ((Name != '') AND Name = {p3:String})) AS Matches
FROM trace_rows
WHERE ((((mapContains(Metadata, {p0:String}) AND Metadata[{p0:String}] = {p1:String})) AND (AppVersion = {p2:String})) OR ((Name = {p3:String})))
ORDER BY Timestamp DESC
LIMIT {p4:UInt64}
