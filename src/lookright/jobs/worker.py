"""Does one job in a process of its own: `python -m lookright.jobs.worker FOLDER ABOUT < SPEC`.

The launcher writes the job's spec as one line to the standard input and keeps that open: when it
closes, the launcher has ended, and the worker stops. The worker tells its progress in the job's
place, for the launcher to show.

A training on several devices starts the same command once more for each further device. Such a
process does its part of the work and keeps nothing; it ends with the worker that has started it.
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
from lookright.imports import working_folder
from lookright.jobs.codes import DONE, FAILED, FIRST, FULL, HELD, STOPPED
from lookright.jobs.job import Place, do
from lookright.locks import HeldError
from lookright.spec import build

_SECONDS = 1.0
_PATIENCE = 60.0


def main() -> NoReturn:
    """Do the job of the place named on the command line."""
    _listen_to_signals()
    place = Place(Path(sys.argv[1]), Path(sys.argv[2]))
    first = int(os.environ.get(FIRST) or os.getpid())
    os.environ[FIRST] = str(first)
    progress = Progress(console=Terminal(quiet=True), auto_refresh=False)
    try:
        with working_folder():
            if first == os.getpid():
                _work(place, progress)
            else:
                _help(first, place, progress)
        code = DONE
    except (KeyboardInterrupt, StoppedError):
        code = STOPPED
    except HeldError:
        code = HELD
    except Exception as error:
        code = FULL if _memory_is_full(error) else FAILED
        say(mistake_behind(error) or traceback.format_exc())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _work(place: Place, progress: Progress) -> None:
    spec = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_launcher, daemon=True).start()
    threading.Thread(target=_tell, args=(place, progress), daemon=True).start()
    do(build(spec), place, progress)


def _help(first: int, place: Place, progress: Progress) -> None:
    """Do a further device's part of the work that the first process does."""
    threading.Thread(target=_end_with, args=(first,), daemon=True).start()
    spec = json.loads((place.about / "spec.json").read_text(encoding="utf-8"))
    build(spec).work(place.folder, progress)


def _listen_to_signals() -> None:
    """Undo that a script which starts something by `&` ignores SIGINT, and that Ray blocks it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _stop_with_launcher() -> None:
    # Not sys.stdin.read(), which locks sys.stdin: a process forked meanwhile, as those that read
    # images are, closes its own copy of it first, and would wait for that lock for ever.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_PATIENCE)
    os._exit(STOPPED)


def _end_with(first: int) -> None:
    while os.getppid() == first:
        time.sleep(_SECONDS)
    os._exit(STOPPED)


def _tell(place: Place, progress: Progress) -> None:
    """Tell how far the work is, as long as it goes on."""
    while True:
        time.sleep(_SECONDS)
        tasks = progress.tasks
        share = sum(task.completed / task.total for task in tasks if task.total)
        notes = [task.fields.get("note", "") for task in tasks if not task.finished]
        place.tell_progress(share / max(len(tasks), 1), "".join(notes[-1:]))


def _memory_is_full(error: BaseException | None) -> bool:
    """Whether that is what lies behind an error."""
    from lookright.memory import out_of_memory  # imports torch, which takes seconds

    while error is not None:
        if isinstance(error, Exception) and out_of_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main()
