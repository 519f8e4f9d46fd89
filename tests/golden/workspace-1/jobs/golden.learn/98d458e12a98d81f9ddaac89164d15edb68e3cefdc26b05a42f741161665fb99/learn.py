# The code of one job, as it was when the job was submitted. Written by xpm_nb.
#
#     task        Learn
#     type        golden.learn
#     identifier  98d458e12a98d81f9ddaac89164d15edb68e3cefdc26b05a42f741161665fb99
#     namespace   golden
#
# To run it by hand, without notebook or kernel:
#
#     /home/me/venv/bin/python learn.py
#
# A job that is done is then executed once more as a rehearsal; nothing of the job is touched.

import sys

if sys.version_info[:2] != (3, 11):
    sys.exit("made by Python 3.11.7, but this is " + sys.version.split()[0])

# Where the notebook found its modules, and behind that what this Python knows of. It is done before
# anything is imported: the directory of a script, which is first on the path, may hold a random.py
# or json.py: this very file.
_paths = [
    "/home/me/xpm_nb",
    "/opt/python/lib/python311.zip",
    "/opt/python/lib/python3.11",
    "/opt/python/lib/python3.11/lib-dynload",
    "/home/me/notes",
    "/home/me/venv/lib/python3.11/site-packages",
    *sys.path[0 if sys.flags.safe_path else 1 :],
]
sys.path[:] = dict.fromkeys(_paths)


# --- In[2]
from pathlib import Path
from xpm_nb import Config, Meta, Param, PathGenerator, Task, field, log_metrics, progress


class Model(Config):
    hidden: Param[int] = 8


class Learn(Task):
    lr: Param[float]
    model: Param[Model] = field(default_factory=Model.C)
    out: Meta[Path] = field(default_factory=PathGenerator("weights.txt"))
    def execute(self):
        print("learning with", self.lr)
        for step in range(3):
            progress((step + 1) / 3, desc=f"step {step}")
            log_metrics({"loss": self.lr / (step + 1)}, step=step)
        self.out.write_text(str(self.lr))
        return {"accuracy": 1 - self.lr}


if __name__ == "__main__":
    from xpm_nb.runtime.runner import main

    main(__file__)
