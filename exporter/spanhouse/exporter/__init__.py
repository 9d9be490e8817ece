"""The receiving side: OTLP over gRPC and HTTP, spooled and inserted into ClickHouse; owner of the embedded engine and of every listener.

The write path goes one way: transport -> ``Admission`` -> ``check`` -> ``Batcher`` -> ``SpoolAppender`` -> ``Drain`` -> ``Writer`` -> engine.
Results come back as futures.
"""
