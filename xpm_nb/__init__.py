"""Run experiments from notebooks."""
from xpm_nb.core.config import Config, Task, LightweightTask, InstanceConfig, setmeta, tag, tags, copyconfig, sealed_set, grid, DirectoryContext, RunMode
from xpm_nb.core.fields import *
from xpm_nb.core.fields import Param, Meta, Constant, DataPath, field, PathGenerator, partial, param_group
