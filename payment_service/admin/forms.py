"""What the pages' forms have in them. Passwords are looked at by the services only."""

from __future__ import annotations

import unicodedata
from typing import Any
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import (
    EmailField,
    Field,
    Form,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, StopValidation
from wtforms.widgets import Select

from payment_service.domain.operators import Numbers, Role, Theme

_THEMES = [
    SelectChoice(Theme.AUTO, "As the browser"),
    SelectChoice(Theme.LIGHT, "Light"),
    SelectChoice(Theme.DARK, "Dark"),
]
_NUMBERS = [
    SelectChoice(Numbers.RECEIPT, "As on receipts"),
    SelectChoice(Numbers.EN_IN, "12,34,567.89"),
    SelectChoice(Numbers.EN_GB, "1,234,567.89"),
    SelectChoice(Numbers.DE_DE, "1.234.567,89"),
    SelectChoice(
        Numbers.DE_CH, "1\N{RIGHT SINGLE QUOTATION MARK}234\N{RIGHT SINGLE QUOTATION MARK}567.89"
    ),
    SelectChoice(Numbers.FR_FR, "1 234 567,89"),
]


def _one_line(form: Form, field: Field) -> None:
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in field.data or ""):
        raise StopValidation("There is a character in it that can't be typed.")


def _needed(what: str) -> InputRequired:
    return InputRequired(f"Enter {what}.")


class _ByLabel(Select):
    """For options that are called by their values: 600 time zones said twice are half a page."""

    @classmethod
    def render_option(cls, choice: Any, **more: Any) -> Markup:
        chosen = Markup(" selected") if choice.selected else Markup()
        return Markup("<option{}>{}</option>").format(chosen, choice.label)


_SHORT = Length(max=254, message="That is too long.")


class LogIn(FlaskForm):
    email = EmailField("E-mail", [_needed("your e-mail address"), _SHORT, _one_line])
    password = PasswordField("Password", [_needed("your password")])


class Accept(FlaskForm):
    """Of an invite to join."""

    name = StringField("Your name", [_needed("your name"), _SHORT, _one_line])
    password = PasswordField("Password", [_needed("a password")])


class NewPassword(FlaskForm):
    """Of an invite to a new password."""

    password = PasswordField("New password", [_needed("a password")])


class Code(FlaskForm):
    code = StringField("Code", [_needed("the code"), _SHORT, _one_line])


class Password(FlaskForm):
    password = PasswordField("Password", [_needed("your password")])


class ChangePassword(FlaskForm):
    old = PasswordField("Current password", [_needed("the current password")])
    new = PasswordField("New password", [_needed("a new password")])


class Preferences(FlaskForm):
    timezone = SelectField("Time zone", choices=sorted(available_timezones()), widget=_ByLabel())
    theme = SelectField("Colours", choices=_THEMES)
    numbers = SelectField("Amounts", choices=_NUMBERS)


class Invite(FlaskForm):
    """Of an admin, for somebody new."""

    email = EmailField("E-mail", [_needed("an e-mail address"), _SHORT, _one_line])
    name = StringField("Name", [_SHORT, _one_line])
    role = SelectField("Role", choices=[str(role) for role in Role])
