"""The entry point: shows a status while the libraries are loaded, which takes seconds."""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] == os.getcwd():
    del sys.path[0]  # which `python -m` puts before all libraries; see lookright.imports

from lookright import interrupts


def main() -> None:
    """Load the command line and run it."""
    interrupts.begin()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings are about this code
    from lookright.console import Terminal

    with Terminal(stderr=True).status("lookright is starting"):
        from lookright import cli
    cli.main()


if __name__ == "__main__":
    main()
