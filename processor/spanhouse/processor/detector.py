"""The resource detector: process metadata on the resource of every provider that the SDK builds."""

from __future__ import annotations

import logging

from opentelemetry.sdk.resources import Resource, ResourceDetector

from spanhouse.processor.process import this_process

_logger = logging.getLogger("spanhouse.processor")


class MetadataResourceDetector(ResourceDetector):
    """Detects commit, branch, repository, entry point, environment, model and user of the process.

    Named ``spanhouse`` for ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS``. It leaves out every key that ``OTEL_RESOURCE_ATTRIBUTES`` or
    ``OTEL_SERVICE_NAME`` sets, so that they win in whatever order detectors are named, and it has no schema URL, with which merging
    could fail. It never raises: what it cannot find is absent.
    """

    def detect(self) -> Resource:
        """The process's metadata as resource attributes; all values are strings."""
        try:
            return Resource(dict(this_process().detect()))
        except Exception:
            _logger.exception("no metadata on the resource")
            return Resource.get_empty()
