"""Does one job in a process of its own: `python -m lookright.jobs.worker FOLDER ABOUT < SPEC`.

The launcher writes the job's spec as one line to the standard input and keeps that open: when it
closes, the launcher has ended, and the worker stops. The worker tells its progress in the job's
place, for the launcher to show.
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

from rich.progress import Progress

from lookright.console import Terminal, mistake_behind, say
from lookright.errors import StoppedError
from lookright.jobs.job import Place, do
from lookright.locks import HeldError
from lookright.spec import build

DONE, FAILED, HELD, STOPPED = 0, 1, 75, 130
"""How a worker exits: the job is done; it has failed; another process does it; the worker was asked
to stop."""

_SECONDS = 1.0
_PATIENCE = 60.0


def main() -> NoReturn:
    """Do the job of the place named on the command line."""
    place = Place(Path(sys.argv[1]), Path(sys.argv[2]))
    spec = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_launcher, daemon=True).start()
    progress = Progress(console=Terminal(quiet=True), auto_refresh=False)
    threading.Thread(target=_tell, args=(place, progress), daemon=True).start()
    try:
        do(build(spec), place, progress)
        code = DONE
    except (KeyboardInterrupt, StoppedError):
        code = STOPPED
    except HeldError:
        code = HELD
    except Exception as error:
        code = FAILED
        say(mistake_behind(error) or traceback.format_exc())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop_with_launcher() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_PATIENCE)
    os._exit(STOPPED)


def _tell(place: Place, progress: Progress) -> None:
    """Tell how far the work is, as long as it goes on."""
    while True:
        time.sleep(_SECONDS)
        tasks = progress.tasks
        share = sum(task.completed / task.total for task in tasks if task.total)
        notes = [task.fields.get("note", "") for task in tasks if not task.finished]
        place.tell_progress(share / max(len(tasks), 1), "".join(notes[-1:]))


if __name__ == "__main__":
    main()
