"""What all tests share: hypothesis profiles, and nothing left behind."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", parent=settings.get_profile("ci"), max_examples=10)
settings.load_profile("fast" if os.environ.get("FAST") == "1" else "ci")
