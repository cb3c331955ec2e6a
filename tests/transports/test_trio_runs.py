"""One thing done beside another on trio: how it ends."""

import pytest
import trio

from cartesia_trio.runs import beside


def test_a_cancel_leaves_as_it_is_and_in_no_group() -> None:
    """Where both were waiting."""
    seen: list[BaseException] = []

    async def main() -> None:
        with trio.move_on_after(0.01):
            try:
                await beside(trio.sleep_forever, trio.sleep_forever)
            except BaseException as error:
                seen.append(error)
                raise

    trio.run(main)

    assert [type(error) for error in seen] == [trio.Cancelled]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_of_either_leaves_in_no_group(error: BaseException, *, first: bool) -> None:
    """And is the same exception."""

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    async def main() -> None:
        with pytest.raises(type(error)) as caught:
            await (beside(fail, trio.sleep_forever) if first else beside(trio.sleep_forever, fail))
        assert caught.value is error

    trio.run(main)
