"""The words of operators and their log-ins, and what is refused of what is done to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an operator may do in the panel. Each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Theme(StrEnum):
    """How the panel looks; `auto` is as the browser likes it."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


class Numbers(StrEnum):
    """How the panel writes amounts: a locale, or `receipt` for that of RECEIPT_LOCALE."""

    RECEIPT = "receipt"
    EN_IN = "en_IN"
    EN_GB = "en_GB"
    DE_DE = "de_DE"
    DE_CH = "de_CH"
    FR_FR = "fr_FR"


class How(StrEnum):
    """By what a session was begun."""

    PASSWORD = "password"
    INVITE = "invite"
    CODE = "code"
    RECOVERY = "recovery"
    SSO = "sso"


SURE = frozenset({How.CODE, How.RECOVERY, How.SSO})
"""Ways with a second factor in them. That of single sign-on is the identity provider's business."""


class Ended(StrEnum):
    """Why a session was ended before its time was over."""

    LOG_OUT = "log-out"
    REPLACED = "replaced"  # by one with a new id, of the same browser
    BY_OPERATOR = "by operator"
    BY_ADMIN = "by admin"
    DISABLED = "disabled"
    ROLE = "role"
    PASSWORD = "password"
    SECOND_FACTOR = "second factor"
    RESTORED = "restored"  # the database is a backup's


class InvitePurpose(StrEnum):
    """What an invite is for."""

    JOIN = "join"
    PASSWORD = "password"


class Reach(StrEnum):
    """How far a session reaches."""

    ALL = "all"
    CODE = "code"  # the password was right; the code of the second factor is still to come
    SET_UP = "set-up"  # a second factor is needed, and there is none yet


def reach_of(how: How, role: Role, *, has_second_factor: bool, required: bool) -> Reach:
    """Of a session that was begun this way. Whoever has a second factor is asked for it; where it
    is `required` all but viewers have one."""
    if how in SURE:
        return Reach.ALL
    if has_second_factor:
        return Reach.CODE
    return Reach.SET_UP if required and role != Role.VIEWER else Reach.ALL


class Refused(Exception):
    """What an operator, or somebody for him, asked for can't be done. The text is a whole sentence
    for the person who asked."""


class UnknownOperator(Refused):
    """There is no operator with this e-mail or number."""


class EmailTaken(Refused):
    """Another operator has this e-mail, or this identity."""


class BadText(Refused):
    """A name, an e-mail or a time zone that can't be one."""


class InviteOver(Refused):
    """The link was used, is too old, was followed by another, or never was one."""


class WeakPassword(Refused):
    """The password is too short, too long, or too easily guessed."""


class WrongPassword(Refused):
    """The password that was to be right is not."""


class WrongCode(Refused):
    """The code is wrong, or was used before."""


class Busy(Refused):
    """Too many others wait for their passwords to be looked at."""


class LastAdmin(Refused):
    """Without this operator there would be no active admin."""


class OwnRole(Refused):
    """Nobody changes their own role."""


class NotAnAdmin(Refused):
    """Only an admin does this."""


class OutOfReach(Refused):
    """The session is over, or does not reach this; or the password or code is to be shown first."""


class StepUpFirst(OutOfReach):
    """The password or the code is to be shown once more first."""


class NotAdmitted(Refused):
    """Single sign-on named somebody who may not come in, or came by a link that was used."""


_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+\Z", re.ASCII)
LONGEST_EMAIL = 254
"""Characters, as SMTP has it."""


def is_email(text: str) -> bool:
    """Whether it looks like one: visible ASCII with an @ in it."""
    return len(text) <= LONGEST_EMAIL and _EMAIL.match(text) is not None


@dataclass(frozen=True)
class By:
    """Who does something to an operator: somebody at a command line (`cli:name`), or an operator
    (`operator:7`) in a session. `name` is the actor of the audit log."""

    name: str
    operator_id: int | None = None
    role: Role | None = None
    session_id: int | None = None

    @property
    def is_admin(self) -> bool:
        """Whoever has the command line has the database too."""
        return self.operator_id is None or self.role == Role.ADMIN


def operator_name(operator_id: int) -> str:
    """An operator as events and audit name him: what they hold stays for ever, and e-mail and name
    are his."""
    return f"operator:{operator_id}"


def operator_number(name: str) -> int | None:
    """The operator of that name; None if it is somebody else's."""
    kind, _, number = name.partition(":")
    return int(number) if kind == "operator" and number.isdecimal() else None
