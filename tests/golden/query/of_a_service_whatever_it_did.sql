-- p0: "pay"
SELECT count()
FROM spanhouse_trace_rows FINAL
WHERE has(`Services.Name`, {p0:String})
