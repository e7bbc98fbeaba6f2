"""The entry point: shows a status while the libraries are loaded, which takes seconds."""

from lookright import interrupts


def main() -> None:
    """Load the command line and run it."""
    interrupts.begin()
    from lookright.console import Terminal

    with Terminal(stderr=True).status("lookright is starting"):
        from lookright import cli
    cli.main()


if __name__ == "__main__":
    main()
