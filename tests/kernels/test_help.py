"""Help of classes that cells define, as a front-end asks for it."""

import pytest

pytestmark = pytest.mark.slow

CELL = """
class Kiln(Config):
    '''What pots are fired in.'''

    heat: Param[float]
    "how hot, in kelvin"
    wood: Param[int] = 3  # logs

class Fire(Task):
    kiln: Param[Kiln]
    "where it burns"

    def execute(self): ...

kiln = Kiln.C(heat=1300)
"""


def asked(kernel, code):
    """What a front-end shows for ``code?``."""
    number = kernel.client.inspect(code, len(code))
    while True:
        reply = kernel.client.get_shell_msg(timeout=30)
        if reply["parent_header"].get("msg_id") == number:
            assert reply["content"]["found"]
            return reply["content"]["data"]["text/plain"]


def test_help_of_parameters_is_a_question_mark_away(lab):
    kernel = lab.kernel()
    kernel.run(CELL)
    for code in ("Kiln.C", "kiln"):
        text = asked(kernel, code)
        assert "What pots are fired in." in text
        assert "how hot, in kelvin" in text
        assert "wood : int, default 3" in text
    assert "where it burns" in asked(kernel, "Fire.C")
    for code in ("start", "Task.submit", "Task.watch_output"):
        assert "Parameters" in asked(kernel, code)
    shown = kernel.run("kiln").displays[-1]
    assert "how hot, in kelvin" in shown["text/html"]
