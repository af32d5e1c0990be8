"""How long a supervisor waits before it starts a child again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server_ext.supervisor import BACKOFF_FIRST_S, BACKOFF_MAX_S, backoff_s


def test_the_first_failure_is_retried_soon() -> None:
    assert backoff_s(1) == BACKOFF_FIRST_S


@given(st.integers(min_value=1, max_value=10**9))
def test_the_wait_never_shrinks_and_never_passes_the_limit(failures: int) -> None:
    assert backoff_s(failures) <= backoff_s(failures + 1) <= BACKOFF_MAX_S
