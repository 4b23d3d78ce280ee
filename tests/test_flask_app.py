"""What the app leaves out of Flask."""

from __future__ import annotations

from inspect import iscoroutinefunction

from flask import Flask


def test_no_view_and_no_hook_is_a_coroutine(app: Flask) -> None:
    """SynchronousFlask would call it, and never run it."""
    hooks = (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.template_context_processors,
    )
    called = [*app.view_functions.values(), *app.teardown_appcontext_funcs]
    called += [hook for by_blueprint in hooks for found in by_blueprint.values() for hook in found]
    for by_status in app.error_handler_spec.values():
        called += [handler for by_error in by_status.values() for handler in by_error.values()]
    assert len(called) > 100
    assert [one for one in called if iscoroutinefunction(one)] == []
