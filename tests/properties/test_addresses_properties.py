"""Whom a message is for, without parsing it: the same as parsing says, whenever anything is said."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from cartesia_proto.errors import JsonValue
from cartesia_proto.sessions.addresses import addressee

NAME = "context_id"

names = st.sampled_from([NAME, NAME, "type", "data", f'"{NAME}"', f',"{NAME}":"x"', "\\", "[{"]) | st.text(max_size=3)
scalars = st.none() | st.integers(0, 9) | names
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def strings(draw: st.DrawFn, text: str) -> str:
    """A string as JSON may spell it: some of its characters escaped."""
    written = json.dumps(text, ensure_ascii=draw(st.booleans()))
    if text != NAME or draw(st.booleans()):
        return written
    at = draw(st.integers(0, len(NAME) - 1))
    return f'"{NAME[:at]}\\u{ord(NAME[at]):04x}{NAME[at + 1 :]}"'


@st.composite
def spelled(draw: st.DrawFn, value: JsonValue) -> str:
    """A value as JSON may spell it: names twice, escapes, and white space anywhere."""
    space = draw(st.sampled_from(["", "", " ", "\n\t "]))
    match value:
        case str():
            return draw(strings(value))
        case list():
            return "[" + f",{space}".join(draw(spelled(item)) for item in value) + space + "]"
        case dict():
            members = [f"{draw(strings(name))}{space}:{space}{draw(spelled(item))}" for name, item in value.items()]
            twice = members[:1] if draw(st.integers(0, 4)) == 0 else []
            return "{" + space + f"{space},{space}".join([*members, *twice]) + "}"
        case _:
            return json.dumps(value)


objects = st.dictionaries(names, values, max_size=4) | st.fixed_dictionaries({NAME: names}, optional={"type": values})


@st.composite
def objects_spelled(draw: st.DrawFn) -> str:
    """An object as JSON may spell it."""
    value: dict[str, JsonValue] = {**draw(objects)}
    return draw(spelled(value))


@given(objects_spelled())
@example('{"context_id":"a"}')
@example('{"x":"\\"context_id","y":{"context_id":"a"}}')
def test_the_same_as_parsing(text: str) -> None:
    """For every JSON object."""
    named = addressee(text.encode("utf-8", "surrogatepass"))
    assert named is None or named == json.loads(text)[NAME]


@given(st.text(alphabet='{}[],:"\\ a', max_size=30), st.text(alphabet='{}[],:"\\ a', max_size=30))
def test_any_text(before: str, after: str) -> None:
    """Never raises; where the text is an object, it is right."""
    text = f'{before}"{NAME}"{after}'
    named = addressee(text.encode())
    try:
        fields = json.loads(text)
    except ValueError:
        return
    assert named is None or fields[NAME] == named


@given(st.sampled_from(["a", "b c", "\u00e9", "x" * 100]), st.lists(scalars, max_size=3))
def test_the_usual_shape_is_known(id: str, others: list[JsonValue]) -> None:
    """Written plainly and among scalars, the id is always found."""
    fields: dict[str, JsonValue] = {
        str(index): value for index, value in enumerate(others) if not isinstance(value, str)
    }
    text = json.dumps({**fields, NAME: id, "data": "AAAA"}, ensure_ascii=False)
    assert addressee(text.encode()) == id
