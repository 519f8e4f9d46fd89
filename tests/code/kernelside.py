"""What a test asks of the kernel: to write the script of a job, or to say why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from xpm_nb.code.carrier import carry, script
from xpm_nb.core.config import site
from xpm_nb.errors import CarrierError
from xpm_nb.notebook.history import executed_cells


def write(shell, *classes, name="learn"):
    """Write the script of the last class; print where it is, or the error."""
    numbers, texts = executed_cells(shell)
    try:
        carried = carry(
            classes, namespace_globals=shell.user_ns, numbers=numbers, texts=texts, site=site
        )
    except CarrierError as error:
        print(json.dumps({"error": str(error)}))
        return
    folder = Path("jobs") / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    stub = Path("stub").resolve()
    text = script(
        carried,
        task=classes[-1].__qualname__,
        type_name="x.learn",
        identifier="0" * 64,
        namespace="x",
        name=name,
        sys_path=[str(stub), *sys.path],
    )
    path.write_text(text, encoding="utf-8")
    print(json.dumps({"path": str(path.resolve()), "source": carried.source}))


def clean(space):
    """Forget what a test has defined; the history stays."""
    kept = ("In", "Out", "get_ipython", "exit", "quit", "open", "kernelside")
    for name in [n for n in space if not n.startswith("_") and n not in kept]:
        del space[name]
