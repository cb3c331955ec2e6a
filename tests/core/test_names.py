"""Names that a package imports when somebody asks for them."""

import functools

import pytest

from cartesia_proto.names import on_demand


def test_names() -> None:
    """They are told of before they are there, and are ordinary ones afterwards; others are not there."""
    namespace: dict[str, object] = {"__name__": "package", "__all__": ["here", "reduce"], "here": 1}
    get, names = on_demand(namespace, reduce="functools")
    assert names() == ["__all__", "__name__", "here", "reduce"]
    value = get("reduce")
    assert value is functools.reduce
    assert namespace["reduce"] is value
    assert names() == ["__all__", "__name__", "here", "reduce"]
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'elsewhere'"):
        get("elsewhere")
