"""In the processes of jobs: the fault that a test wants there."""

import os

if "XPM_TEST_FAULT" in os.environ:
    import faults

    faults.from_environment()
