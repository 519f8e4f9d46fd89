# The code of one job, as it was when the job was submitted. Written by xpm_nb.
#
#     task        Break
#     type        golden.break
#     identifier  91767baf548ef532807f4c5b53f0efbd172f252a162830090047e34ff91c5fe6
#     namespace   golden
#
# To run it by hand, without notebook or kernel:
#
#     /home/me/venv/bin/python break.py
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
from xpm_nb import Param, Task


class Break(Task):
    at: Param[int]
    def execute(self):
        values = list(range(self.at))
        return values[self.at]


if __name__ == "__main__":
    from xpm_nb.runtime.runner import main

    main(__file__)
