"""Every file of a run and a result, cut, with flipped bits and with replaced values, at every verb
that reads it: what is neither one line that names the file nor the right answer.

    python benchmarks/damage.py [tries for each file and kind of damage, 50 by default] [seed]
"""

import os
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import test_damage
from lookright import cli


def call(line: str) -> tuple[int, str, str]:
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main(line.split())
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        test_damage.narrow(patch)
        os.chdir(folder)
        test_damage.made(Path(folder))
        each, seed = map(int, (*sys.argv[1:], *("50", "0")[len(sys.argv) - 1 :]))
        wrong = test_damage.tries(each, seed, call)
        print("\n".join(wrong), f"\n{len(wrong)} wrong")
