"""A value class beside the module of its config: a job has to import both."""

from __future__ import annotations

from tests.engine.caching_tasks import Model
from xpm_nb import initializer


@Model.value_class()
class ModelValue(Model):
    @initializer
    def initialize(self):
        self.size += 1
        return self.size
