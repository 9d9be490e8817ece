"""The receiving side: OTLP over gRPC and HTTP, batched into ClickHouse; owner of the embedded engine and of every listener.

The write path goes one way: transport -> ``ExportService.export`` -> ``Batcher`` -> ``Writer`` -> engine. Results come back as futures.
"""
