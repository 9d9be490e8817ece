"""OTLP over gRPC and HTTP: servers, bounded receive, content encodings, CORS, health and metrics endpoints."""
