"""Whose turn it is on a busy machine."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from spanhouse.exporter.priority import come_last, engine_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have no nice value elsewhere")
