"""Any command line ends with an exit code and, if it is refused, with one clear line."""

import functools
import time
from contextlib import suppress
from importlib import import_module

import pytest

from command_lines import command_lines
from lookright import cli
from lookright.options import Options

LINES = 500


@pytest.fixture
def idle(monkeypatch):
    """Verbs that only take their arguments."""
    for verb in cli.verbs():
        module = import_module(f"lookright.verbs.{verb}")
        taken = functools.wraps(getattr(module, verb))(lambda **_: None)
        monkeypatch.setattr(module, verb, taken)


@pytest.mark.filterwarnings("ignore")
def test_a_random_command_line_ends_well(idle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    codes, start = [], time.process_time()
    for words in command_lines(0, LINES, tmp_path):
        code = 0
        try:
            cli.main(words)
        except SystemExit as end:
            code = end.code
        except Exception as error:
            raise AssertionError(f"a traceback of {words!a}") from error
        said = capsys.readouterr().err.splitlines()
        codes.append(code)
        assert code in (0, 1), ascii(words)
        if code:
            assert said[-1].startswith("error: "), ascii(words)
            assert len(said) == 1, ascii(words)
            assert len(said[0]) < 2000, ascii(words)
            assert said[0].isprintable(), ascii(words)
    assert time.process_time() - start < 60
    assert min(codes.count(0), codes.count(1)) > LINES // 10


LITTLE = ("null", "nan", "inf", "-1", "9" * 30, "[]", "{}", "", "a\\[/]", "\x1b[1m")


@pytest.mark.parametrize("value", LITTLE, ids=ascii)
def test_no_option_of_any_verb_breaks_on(idle, value, tmp_path, monkeypatch, capsys):
    """Each option of each verb, by itself."""
    monkeypatch.chdir(tmp_path)
    for verb in cli.verbs():
        function = getattr(import_module(f"lookright.verbs.{verb}"), verb)
        needed = {"explain": "a b", "study": "masks", "train": "", "demo": ""}.get(verb, "a")
        for option in Options(function).known:
            with suppress(SystemExit):
                cli.main([verb, *needed.split(), f"--{option}={value}"])
            said = capsys.readouterr().err.splitlines()
            assert len(said) <= 1, said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--preprocessing.nothing"], "--preprocessing.nothing needs a value after it."),
        (["train", "--epochs.x"], "--epochs.x needs a value after it."),
        (["train", "--mask_values={0}"], "MaskValues has no option '0'"),
        (["train", "--lr=\ud800"], r"got '\ud800'"),
        (["train", "--run=\ud800"], r"got '\ud800'"),
        (["train", "--lr=caf\udce9\udfff"], r"got 'caf\xe9\udfff'"),
    ],
    ids=ascii,
)
def test_what_random_lines_have_found(idle, words, said, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert said in capsys.readouterr().err
