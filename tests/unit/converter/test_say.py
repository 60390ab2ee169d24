"""Who waits hears whole lines; a terminal also how far a long step is."""

from __future__ import annotations

import io

import pytest

from converter import say as module
from converter.say import Say


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_file_gets_whole_lines_only() -> None:
    """Into a file or a pipe no step is written."""
    out = io.StringIO()
    say = Say(out)
    say("int8: is converted")
    say.step("int8: judged", 3, 500)
    say("done")
    assert out.getvalue() == "int8: is converted\ndone\n"


def test_terminal_sees_steps_that_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is rewritten in place, and the next line leaves nothing of it."""
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    out = _Terminal()
    say = Say(out)
    say.step("int8: judged", 3, 500)
    say.step("int8: judged", 4, 500)
    say("done")
    wiped = "\r" + " " * len("int8: judged 3/500") + "\r"
    assert out.getvalue() == f"int8: judged 3/500{wiped}int8: judged 4/500{wiped}done\n"


def test_terminal_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps in a moment are written once."""
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    out = _Terminal()
    say = Say(out)
    for done in range(1000):
        say.step("judged", done, 1000)
    assert out.getvalue() == "judged 0/1000"
