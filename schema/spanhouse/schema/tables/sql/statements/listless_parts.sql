-- Parts of all spans of some traces, almost without lists of spans, in the types of spanhouse_trace_parts.
SELECT * REPLACE (
    CAST(Process, 'Map(String, String)') AS Process,
    CAST(OwnProcess, 'Map(String, String)') AS OwnProcess,
    CAST(OwnSession, 'Tuple(code UInt16, value String)') AS OwnSession,
    CAST(OwnUser, 'Tuple(code UInt16, value String)') AS OwnUser,
    CAST(OwnRequest, 'Tuple(code UInt16, value String)') AS OwnRequest,
    CAST(OwnResponse, 'Tuple(code UInt16, value String)') AS OwnResponse,
    CAST(Session, 'Tuple(rank UInt16, start DateTime64(9), id String, value String)') AS Session,
    CAST(User, 'Tuple(rank UInt16, start DateTime64(9), id String, value String)') AS User,
    CAST(Request, 'Tuple(start DateTime64(9), id String, code UInt16, value String)') AS Request,
    CAST(Response, 'Tuple(end Int64, id String, code UInt16, value String)') AS Response,
    CAST(TraceAttributes, 'Array(Tuple(start DateTime64(9), id String, attributes Map(String, String)))') AS TraceAttributes,
    CAST(Words, 'Array(String)') AS Words,
    CAST(FirstError, 'Tuple(start DateTime64(9), id String, type String, message String)') AS FirstError)
FROM {parts}
