SELECT AppVersion AS Value, count() AS Traces
FROM spanhouse_trace_rows FINAL
WHERE Value != ''
GROUP BY Value
ORDER BY Traces DESC, Value
