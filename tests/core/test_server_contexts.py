"""Contexts from the server's side: what messages ask to be done, and what they may not ask."""

import pytest

from cartesia_proto.codecs import json
from cartesia_proto.errors import JsonValue
from cartesia_proto.server.contexts import (
    REMEMBERED,
    Action,
    Begin,
    Cancel,
    Contexts,
    Finish,
    Flush,
    Generate,
    Refuse,
)
from cartesia_proto.server.problems import Problem, too_many

EMBEDDING: list[JsonValue] = [1.0] * 192
NEWEST, OLDEST = "2026-08-14", "2024-06-10"
MORE: dict[str, JsonValue] = {"continue": True}
FLUSH: dict[str, JsonValue] = {"transcript": "", "continue": True, "flush": True}
FINISH: dict[str, JsonValue] = {"transcript": "", "continue": False}


def message(context_id: str | None = "c", /, **fields: JsonValue) -> str:
    """A message with the least there must be, and more."""
    least: dict[str, JsonValue] = {
        "model_id": "sonic-3",
        "transcript": "Hi.",
        "voice": {"mode": "id", "id": "v"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        "context_id": context_id,
    }
    return json.dumps({**least, **fields}).decode()


def kinds(actions: tuple[Action, ...]) -> list[type[Action]]:
    """What is to be done, in short."""
    return [type(action) for action in actions]


def refused(contexts: Contexts, text: str | bytes) -> Refuse:
    """The one error that a message is answered with."""
    [action] = contexts.receive(text)
    assert isinstance(action, Refuse)
    return action


def test_a_single_shot() -> None:
    """Begun, said and finished by one message."""
    contexts = Contexts(NEWEST)
    begin, generate, finish = contexts.receive(message())
    assert begin == Begin("c")
    assert isinstance(generate, Generate)
    assert (generate.context_id, generate.flush_id, generate.input.speech.transcript) == ("c", 1, "Hi.")
    assert finish == Finish("c")
    assert contexts.open == ("c",)
    assert contexts.end("c")
    assert not contexts.open
    assert not contexts.end("c")


def test_a_continued_context() -> None:
    """Inputs in order, the last one empty."""
    contexts = Contexts(NEWEST)
    assert kinds(contexts.receive(message(**MORE))) == [Begin, Generate]
    assert kinds(contexts.receive(message(**MORE))) == [Generate]
    assert contexts.receive(message(**FINISH)) == (Finish("c"),)


def test_flushes_are_counted() -> None:
    """From 1; audio after one belongs to the next segment."""
    contexts = Contexts(NEWEST)
    contexts.receive(message(**MORE))
    assert contexts.receive(message(**FLUSH)) == (Flush("c", 1),)
    second, flush = contexts.receive(message(**MORE, flush=True))
    assert isinstance(second, Generate)
    assert (second.flush_id, flush) == (2, Flush("c", 2))
    assert contexts.receive(message(**FLUSH)) == (Flush("c", 3),)


def test_every_input_has_a_flush_of_its_own_without_delay() -> None:
    """If it says so, and says something."""
    contexts = Contexts(NEWEST)
    delay: dict[str, JsonValue] = {"max_buffer_delay_ms": 0}
    assert kinds(contexts.receive(message(**MORE, **delay))) == [Begin, Generate, Flush]
    assert kinds(contexts.receive(message(**MORE, **delay, flush=True))) == [Generate, Flush]
    assert contexts.receive(message(**MORE, **{**delay, "transcript": " "})) == (Flush("c", 3),)
    assert contexts.receive(message(**{**FINISH, **delay})) == (Finish("c"),)


def test_white_space_makes_no_sound() -> None:
    """But it is no error."""
    contexts = Contexts(NEWEST)
    contexts.receive(message(**MORE))
    assert contexts.receive(message(**{**MORE, "transcript": "\n"})) == ()


def test_contexts_do_not_know_each_other() -> None:
    """Each has settings and segments of its own."""
    contexts = Contexts(NEWEST)
    contexts.receive(message("a", **MORE))
    contexts.receive(message("b", **MORE, add_timestamps=True))
    assert contexts.receive(message("a", **FLUSH)) == (Flush("a", 1),)
    assert contexts.receive(message("b", **FLUSH)) == (Flush("b", 1),)
    assert contexts.open == ("a", "b")


def test_a_locked_field_may_not_change() -> None:
    """400, and the context is over."""
    contexts = Contexts(NEWEST)
    contexts.receive(message(**MORE))
    refusal = refused(contexts, message(**MORE, language="fr"))
    assert (refusal.context_id, refusal.problem.status) == ("c", 400)
    assert refusal.problem.message == "language must be the same in every input of context 'c'"
    assert contexts.open == ()


@pytest.mark.parametrize("ending", [FLUSH, FINISH])
def test_settings_beside_no_text_are_not_compared(ending: dict[str, JsonValue]) -> None:
    """Old SDKs fill in others there."""
    contexts = Contexts(OLDEST)
    contexts.receive(message(**MORE))
    placeholder: dict[str, JsonValue] = {"model_id": "sonic-2", "voice": {"embedding": [*EMBEDDING]}}
    assert len(contexts.receive(message(**{**ending, **placeholder}))) == 1
    assert contexts.open == ("c",)


def test_nothing_follows_a_finish() -> None:
    """It is an error, of a context that might still be speaking."""
    contexts = Contexts(NEWEST)
    contexts.receive(message())
    assert "was finished" in refused(contexts, message(**FLUSH)).problem.message


def test_an_id_is_good_for_once() -> None:
    """However its context ended."""
    contexts = Contexts(NEWEST)
    contexts.receive(message("done"))
    contexts.end("done")
    contexts.receive(message("cancelled", **MORE))
    contexts.receive('{"context_id":"cancelled","cancel":true}')
    contexts.receive(message("failed", **MORE))
    contexts.refuse("failed", too_many("x"))
    for context_id in ("done", "cancelled", "failed"):
        refusal = refused(contexts, message(context_id, **MORE))
        assert refusal.context_id == context_id
        assert "is over: take another context_id" in refusal.problem.message


def test_ended_ids_are_forgotten_in_time() -> None:
    """The oldest first."""
    contexts = Contexts(NEWEST)
    for number in range(REMEMBERED + 1):
        contexts.receive(message(str(number)))
        contexts.end(str(number))
    refused(contexts, message("1"))
    assert kinds(contexts.receive(message("0"))) == [Begin, Generate, Finish]


def test_a_cancellation_ends_a_context() -> None:
    """Once."""
    contexts = Contexts(NEWEST)
    contexts.receive(message(**MORE))
    assert contexts.receive('{"context_id":"c","cancel":true}') == (Cancel("c"),)
    assert contexts.receive('{"context_id":"c","cancel":true}') == ()
    assert contexts.receive('{"context_id":"unknown","cancel":true}') == ()
    assert contexts.open == ()


def test_a_malformed_input_ends_its_context() -> None:
    """Not the others."""
    contexts = Contexts(NEWEST)
    contexts.receive(message("a", **MORE))
    contexts.receive(message("b", **MORE))
    refusal = refused(contexts, message("a", **MORE, flush="x"))
    assert (refusal.context_id, refusal.problem.message) == ("a", "flush must be true or false, not a string")
    assert contexts.open == ("b",)


@pytest.mark.parametrize("text", ["nonsense", b"{}", '{"transcript":"x"}', '{"context_id":""}'])
def test_what_names_no_context_ends_all_of_them(text: str | bytes) -> None:
    """It concerns the connection."""
    contexts = Contexts(NEWEST)
    contexts.receive(message("a", **MORE))
    contexts.receive(message("b", **MORE))
    assert refused(contexts, text).context_id is None
    assert contexts.open == ()


def test_a_caller_may_refuse_as_well() -> None:
    """For what only it can know."""
    contexts = Contexts(NEWEST)
    contexts.receive(message())
    problem = Problem(404, "Voice not found", "there is none")
    assert contexts.refuse("c", problem) == Refuse("c", problem)
    assert contexts.open == ()


def test_a_context_may_go_without_an_id_under_old_versions() -> None:
    """One at a time; once it is over, another may."""
    contexts = Contexts(OLDEST)
    assert kinds(contexts.receive(message(None))) == [Begin, Generate, Finish]
    assert contexts.open == (None,)
    refusal = refused(contexts, message(None))
    assert refusal.problem.message.startswith("context without an id was finished")
    assert kinds(contexts.receive(message(None))) == [Begin, Generate, Finish]


def test_nothing_may_be_flushed_or_finished_at_once() -> None:
    """A context that says nothing is none the worse."""
    assert Contexts(NEWEST).receive(message(**FLUSH)) == (Begin("c"), Flush("c", 1))
    assert Contexts(NEWEST).receive(message(**FINISH)) == (Begin("c"), Finish("c"))
