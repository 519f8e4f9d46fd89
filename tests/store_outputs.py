"""Execute the example notebooks and store their outputs: ``python tests/store_outputs.py [NAME…]``.

In the deterministic form that ``pytest --nbval`` compares with, in a workspace of its own, and
without what only a running kernel can show (widgets), of which the text stays.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def store(path: Path) -> None:
    """Execute one notebook in place."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as workspace:
        environ = os.environ | {"XPM_NB_DETERMINISTIC": "1", "XPM_WORKSPACE": workspace}
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            store_widget_state=False,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env=environ)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for found in sorted(NOTEBOOKS.glob("*.ipynb")):
        if found.stem in sys.argv[1:] or not sys.argv[1:]:
            print(found.name, flush=True)
            store(found)
