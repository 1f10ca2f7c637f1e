"""Which answers of a server are read, and what is warned of when an operator has fewer of them read."""

import pytest

from tests.support.policy_files import NATIVE, problems, settings, warnings


def with_answers(answers, more=""):
    return NATIVE.replace("    rules:", f"    rewrite: {{answers: {answers}}}\n    rules:") + more


@pytest.mark.parametrize(
    ("text", "expected"),
    [(NATIVE, True), (with_answers("sessions"), True), (with_answers("lists"), False)],
)
def test_the_answers_in_a_session_are_read_unless_the_file_says_lists(text, expected):
    (server,) = settings(text).directory.servers

    assert (expected, True) == (server.reads_sessions, server.needs_rewriter)


def test_lists_is_warned_of_with_what_is_given_up_and_names_another_policy():
    assert [] == warnings(with_answers("sessions"))
    assert [
        (
            "FILE:9: servers.files.rewrite.answers: answers to calls in a session are not read: a caller may make some "
            "servers send him a list whole, as the answer to a call, and a call's events go on after his token has expired "
            "(write sessions, unless every caller may see every name)"
        )
    ] == warnings(with_answers("lists"))
    assert settings(with_answers("lists")).digest != settings(with_answers("sessions")).digest


def test_lists_beside_every_answer_is_warned_of_because_it_has_no_effect():
    assert [
        (
            "FILE:9: servers.files.rewrite.answers: lists has no effect, because streams.every_answer has every answer read "
            "(remove one of the two)"
        )
    ] == warnings(with_answers("lists", "streams: {every_answer: true}\n"))


@pytest.mark.parametrize("answers", ["none", "[lists]"])
def test_another_word_is_refused_at_its_line(answers):
    (problem,) = problems(with_answers(answers))

    assert "FILE:9: servers.files.rewrite.answers: Input should be 'sessions' or 'lists'" == problem
