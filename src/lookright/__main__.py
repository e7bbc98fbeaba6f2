"""The entry point: shows a status while the libraries are loaded, which takes seconds."""

from rich.console import Console


def main() -> None:
    """Load the command line and run it."""
    with Console(stderr=True).status("lookright is starting"):
        from lookright import cli
    cli.main()


if __name__ == "__main__":
    main()
