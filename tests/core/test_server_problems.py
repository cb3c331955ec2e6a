"""How each version is told what was wrong."""

import pickle

import pytest

from cartesia_proto.codecs import json
from cartesia_proto.codecs.failures import error_from_response
from cartesia_proto.errors import CartesiaError
from cartesia_proto.server.problems import (
    Problem,
    error_response,
    forbidden,
    invalid,
    method_not_allowed,
    model_not_found,
    not_found,
    structured,
    too_large,
    too_many,
    unauthorized,
    voice_not_found,
)


@pytest.mark.parametrize("version", ["2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04"])
def test_old_versions_are_told_in_one_line_of_text(version: str) -> None:
    """``Title: Message`` as text, the request id in the header alone."""
    response = error_response(invalid("speed is odd"), version, "r-1")
    assert (response.status, response.body) == (400, b"Invalid request: speed is odd")
    assert response.headers.get("content-type") == "text/plain; charset=utf-8"
    assert response.request_id == "r-1"


@pytest.mark.parametrize("version", ["2026-03-01", "2026-08-14"])
def test_new_versions_are_told_in_json(version: str) -> None:
    """All fields of a structured error, a code of null included."""
    response = error_response(invalid("speed is odd"), version, "r-1")
    assert json.loads(response.body) == {
        "error_code": None,
        "title": "Invalid request",
        "message": "speed is odd",
        "request_id": "r-1",
    }
    assert response.headers.get("content-type") == "application/json"
    assert response.request_id == "r-1"


@pytest.mark.parametrize("version", ["2025-11-04", "2026-03-01"])
def test_a_client_reads_what_was_written(version: str) -> None:
    """Title and message survive in both shapes."""
    error = error_from_response(error_response(voice_not_found("v"), version, "r-2"))
    assert (error.status_code, error.title, error.message) == (404, "Voice not found", "there is no voice 'v'")
    assert error.request_id == "r-2"


@pytest.mark.parametrize("version", ["2025-11-04", "2026-03-01"])
def test_a_wrong_method_is_told_which_are_right(version: str) -> None:
    """405 has an Allow header, each method once."""
    response = error_response(method_not_allowed("PUT", ["POST", "GET", "GET"]), version, "r")
    assert response.status == 405
    assert response.headers.get("allow") == "GET, POST"


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        (invalid("m"), 400, None),
        (unauthorized("m"), 401, None),
        (forbidden("m"), 403, None),
        (not_found("m"), 404, None),
        (voice_not_found("v"), 404, "voice_not_found"),
        (model_not_found("v"), 404, "model_not_found"),
        (too_large(5), 413, None),
        (too_many("x"), 429, "concurrency_limited"),
    ],
)
def test_each_problem_has_its_status_and_code(problem: Problem, status: int, code: str | None) -> None:
    """As protocol section 6.2 has them."""
    assert (problem.status, problem.error_code) == (status, code)
    assert structured(problem, "r")["error_code"] == code


def test_a_problem_is_an_error_of_this_library_and_survives_a_pickle() -> None:
    """It says what it is in one sentence, before and after."""
    problem = method_not_allowed("PUT", ["GET"])
    assert isinstance(problem, CartesiaError)
    copy = pickle.loads(pickle.dumps(problem))
    assert str(copy) == str(problem) == "405 Method not allowed: PUT is not possible here, only GET"
    assert copy.allow == ("GET",)
