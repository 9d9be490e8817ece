-- Parts of all spans of some traces, without lists of spans, and as spanhouse_trace_parts has their types.
SELECT * REPLACE (
    CAST(Process, 'Map(String, String)') AS Process,
    CAST(Own, 'Map(String, String)') AS Own,
    CAST(Session, 'Tuple(start DateTime64(9), id String, value String)') AS Session,
    CAST(User, 'Tuple(start DateTime64(9), id String, value String)') AS User,
    CAST(Said, 'Array(Tuple(start DateTime64(9), id String, attributes Map(String, String)))') AS Said)
FROM {parts}
