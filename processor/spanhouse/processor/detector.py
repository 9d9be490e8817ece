"""Resource detector: process metadata on the resource of every provider that the SDK builds."""

from __future__ import annotations

import logging

from opentelemetry.sdk.resources import Resource, ResourceDetector

from spanhouse.processor.process import this_process

_logger = logging.getLogger("spanhouse.processor")


class MetadataResourceDetector(ResourceDetector):
    """Resource detector for commit, branch, repository, entry point, environment, model and user of the process.

    Named ``spanhouse`` for ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS``. It leaves out every key that ``OTEL_RESOURCE_ATTRIBUTES`` or
    ``OTEL_SERVICE_NAME`` sets, so that those win in any order of detectors. It has no schema URL, which could make merging fail. It never
    raises: unknown values are absent.
    """

    def detect(self) -> Resource:
        """Return the process's metadata as resource attributes; all values are strings."""
        try:
            return Resource(dict(this_process().detect()))
        except Exception:
            _logger.exception("no metadata on the resource")
            return Resource.get_empty()
