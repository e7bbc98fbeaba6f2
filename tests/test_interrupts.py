"""Ctrl-C: nothing swallows it, what puts files in order is not disturbed, one exit code tells."""

import subprocess
import sys
from textwrap import dedent

import pytest

BEGIN = """
import contextlib, os, signal, time
from lookright import cli, interrupts

interrupts._PATIENCE = 0.1
interrupts.begin()


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)


class Lost:
    def __del__(self):
        ctrl_c()


def works_on():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.01)
    print("ran on")


def lost_in_del():
    Lost()
    works_on()


def lost_in_a_bare_except():
    with contextlib.suppress(BaseException):
        ctrl_c()
    works_on()


def in_executed_text():
    exec("ctrl_c()", globals())


def puts_in_order():
    try:
        ctrl_c()
    finally:
        time.sleep(0.5)
        with contextlib.suppress(ValueError):
            int("an error on the way")
        try:
            int("another")
        except ValueError:
            time.sleep(0.5)
        print("in order")


def puts_in_order_until_ctrl_c_comes_again():
    try:
        ctrl_c()
    finally:
        ctrl_c()
        print("in order")


"""


def run(what, folder):
    (folder / "stopping.py").write_text(f"{BEGIN}cli.run = lambda given: run()\n")
    code = f"""
        import stopping
        def run():
            with stopping.interrupts.raised():
                stopping.{what}()
        stopping.run = run
        stopping.cli.main(["demo"])
    """
    (folder / "begun.py").write_text(dedent(code))
    return subprocess.run(
        [sys.executable, "-m", "begun"], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("where", ["lost_in_del", "lost_in_a_bare_except"])
def test_ctrl_c_that_is_swallowed_is_repeated(where, tmp_path):
    ended = run(where, tmp_path)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1].startswith("error: Stopped")


def test_the_exit_code_is_that_of_a_stop_wherever_ctrl_c_comes(tmp_path):
    assert run("in_executed_text", tmp_path).returncode == 130


def test_what_puts_files_in_order_is_not_disturbed_by_the_first_ctrl_c(tmp_path):
    ended = run("puts_in_order", tmp_path)
    assert (ended.returncode, ended.stdout) == (130, "in order\n")


def test_a_second_ctrl_c_ends_that_too(tmp_path):
    ended = run("puts_in_order_until_ctrl_c_comes_again", tmp_path)
    assert (ended.returncode, ended.stdout) == (130, "")
