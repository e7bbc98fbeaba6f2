"""Does one job in a process of its own: `python -m lookright.jobs.worker FOLDER < SPEC`.

The launcher writes the job's spec as one line to the standard input and keeps that open: when it
closes, the launcher has ended, and the worker stops. The worker keeps its progress in
`job/progress.json`, for the launcher to show.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import Progress

from lookright.console import mistake_behind
from lookright.jobs.job import do, tell_progress
from lookright.locks import HeldError
from lookright.spec import build

DONE, FAILED, HELD, STOPPED = 0, 1, 75, 130
"""How a worker exits: the job is done; it has failed, see `failed.json`; another process does it;
the worker was asked to stop."""

_STAGES = 2
"""The bars that a job has at most, one after the other: its training and its evaluation."""

_SECONDS = 1.0
_PATIENCE = 60.0


def main() -> NoReturn:
    """Do the job of the folder named on the command line."""
    folder = Path(sys.argv[1])
    spec = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_launcher, daemon=True).start()
    progress = Progress(console=Console(quiet=True), auto_refresh=False)
    threading.Thread(target=_tell, args=(folder, progress), daemon=True).start()
    try:
        do(build(spec), folder, progress)
        code = DONE
    except KeyboardInterrupt:
        code = STOPPED
    except HeldError:
        code = HELD
    except Exception as error:
        stopped = isinstance(error.__cause__, SystemExit)
        code = STOPPED if stopped else FAILED
        if not stopped:
            print(mistake_behind(error) or traceback.format_exc(), file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop_with_launcher() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_PATIENCE)
    os._exit(STOPPED)


def _tell(folder: Path, progress: Progress) -> None:
    """Tell how far the work is, as long as it goes on."""
    while True:
        time.sleep(_SECONDS)
        tasks = progress.tasks
        share = sum(task.completed / task.total for task in tasks if task.total)
        notes = [task.fields.get("note", "") for task in tasks if not task.finished]
        tell_progress(folder, share / max(len(tasks), _STAGES), "".join(notes[-1:]))


if __name__ == "__main__":
    main()
