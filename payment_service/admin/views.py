"""What every reading page is made of: Flask-Admin gives its place in the menu and asks who may see
it; templates, look and files are ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from flask import Blueprint, render_template
from flask_admin import Admin, BaseView
from flask_admin.menu import MenuLink

from payment_service.admin import admission
from payment_service.domain.operators import Role
from payment_service.domain.pages import PAGES, PageRule


class Page(BaseView):
    """A page that shows and changes nothing. A subclass has a file of its own, admin/<file>.py; its
    endpoint is admin_<file> and its template admin/<file>.html.

    What is exposed at "/" answers at `path` below /admin; what is exposed at "/more" at
    `path`/more. `within` is the endpoint of the page that the menu marks where this one is not in
    the menu itself.
    """

    path: ClassVar[str]
    within: ClassVar[str] = ""

    def __init__(self, name: str | None, role: Role) -> None:
        file = type(self).__module__.rpartition(".")[2]
        super().__init__(name or file, endpoint=f"admin_{file}")
        self.role, self.in_menu, self._template = role, name is not None, f"admin/{file}.html"

    def rules(self) -> dict[str, PageRule]:
        """Who may see what of it, by endpoint."""
        return {f"{self.endpoint}.{name}": self.role for _, name, _ in self._urls}

    def create_blueprint(self, admin: Admin) -> Blueprint:
        """Without Flask-Admin's templates and static files: a template of ours that is missing is
        an error, and nothing of its 21 MB is served."""
        self.admin, self.url = admin, f"{PAGES}{self.path}"
        self.blueprint = Blueprint(self.endpoint, __name__, url_prefix=self.url)
        for url, name, methods in self._urls:
            # A page is at /admin/payments; the index alone at /admin/.
            rule = "" if url == "/" and self.path else url
            self.blueprint.add_url_rule(rule, name, getattr(self, name), methods=methods)
        admission.guard(self.blueprint)
        return self.blueprint

    def is_visible(self) -> bool:
        return self.in_menu

    def is_accessible(self) -> bool:
        return admission.may_see(self.role)

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        return admission.admit(self.role)

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Once. Flask-Admin's own calls a view again after any TypeError."""
        return fn(self, *args, **kwargs)

    def render(self, template: str | None = None, **values: Any) -> str:
        """The page's own template, unless another one is named."""
        return render_template(template or self._template, **values)


class Link(MenuLink):
    """The place in the menu of a page that is a plain view, because it has forms."""

    def __init__(self, name: str, endpoint: str, role: Role) -> None:
        super().__init__(name, endpoint=endpoint)
        self.role = role

    def is_accessible(self) -> bool:
        return admission.may_see(self.role)
