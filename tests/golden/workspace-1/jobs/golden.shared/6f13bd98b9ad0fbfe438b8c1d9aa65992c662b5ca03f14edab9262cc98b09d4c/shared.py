# The code of one job, as it was when the job was submitted. Written by xpm_nb.
#
#     task        Shared
#     type        golden.shared
#     identifier  6f13bd98b9ad0fbfe438b8c1d9aa65992c662b5ca03f14edab9262cc98b09d4c
#     namespace   golden
#
# To run it by hand, without notebook or kernel:
#
#     /home/me/venv/bin/python shared.py
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
from xpm_nb import Meta, Param, PathGenerator, Task, field, param_group, partial
training = param_group("training")


class Shared(Task):
    model_ = partial(exclude_groups=[training])
    hidden: Param[int]
    epochs: Param[int] = field(groups=[training])
    out: Meta[Path] = field(default_factory=PathGenerator("shared.txt", partial=model_))
    def execute(self):
        self.out.write_text(str(self.hidden))
        return (self.hidden, self.epochs)


if __name__ == "__main__":
    from xpm_nb.runtime.runner import main

    main(__file__)
