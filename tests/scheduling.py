"""How tests are handed to the processes that run them."""

import contextlib

from xdist.scheduler import LoadFileScheduling


class CrashTolerant(LoadFileScheduling):
    """Sends work to a process that has just ended without an error of its own.

    pytest-xdist learns of the end by its next message, and then names the test; sending before
    that ended the whole run with an internal error in the place of the name.
    """

    def _assign_work_unit(self, node):
        with contextlib.suppress(OSError):
            super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") == "loadfile":
        return CrashTolerant(config, log)
    return None
