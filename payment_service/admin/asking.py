"""From where a log-in is tried, and what is told of one that was not right."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, make_response, request

from payment_service.services.log_ins import NotLoggedIn

WRONG = "E-mail or password is not right."
WRONG_CODE = "That code is not right, or it was used before."
WRONG_PASSWORD = "That password is not right."


def asking() -> dict[str, str]:
    """Address and agent, as services take them."""
    return {"address": request.remote_addr or "", "agent": request.user_agent.string}


def not_logged_in(ended: NotLoggedIn, page: Callable[[str], str], says: str = WRONG) -> Response:
    """The page again, with what is wrong: nobody is told which part of it. 429 where it is too
    early for another try."""
    if not ended.wait:
        return make_response(page(says), 403)
    answer = make_response(
        page(f"Too many tries. The next is possible in {_long(ended.wait)}."), 429
    )
    answer.headers["Retry-After"] = str(ended.wait)
    return answer


def _long(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} seconds" if seconds > 1 else "a second"
    return f"{-(-seconds // 60)} minutes"
