"""Whom a command is about: a user by id, or by the e-mail that the backend keeps."""

from __future__ import annotations

from typing import Any

import pymongo
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import OperationFailure

from commands.common import mongo_fault
from contracts import ConfigurationError
from mongo_patience import TOOK_TOO_LONG

_SECONDS = 2.0
# Where Mongoose keeps the model User.
_BACKEND_USERS = "users"


def owner_of(text: str, database: Database[dict[str, Any]]) -> ObjectId:
    """The id that `text` is, or that of the user whose e-mail it is.

    Raises ConfigurationError when it is neither an id nor the e-mail of exactly one user.
    """
    if "@" not in text:
        return user_id(text)
    users = database[_BACKEND_USERS]
    # As it was typed, or in lower case, as most backends keep it; no pattern, which could use no index.
    spelled = {"email": {"$in": sorted({text, text.lower()})}}
    try:
        with pymongo.timeout(_SECONDS):
            found = {each["_id"] for each in users.find(spelled, {"_id": 1}).limit(2)}
    except (OperationFailure, *TOOK_TOO_LONG) as error:
        raise ConfigurationError(
            f"E-mails cannot be looked up in {users.full_name}: {mongo_fault(error)} "
            "Give the user's id, or the right to find there."
        ) from None
    if len(found) != 1:
        some = "No user" if not found else "More than one user"
        raise ConfigurationError(f"{some} with this e-mail is in {users.full_name}; give the user's id.")
    (owner,) = found
    return user_id(str(owner))


def user_id(text: str) -> ObjectId:
    """`text` as an id. Raises ConfigurationError where it is none."""
    if not ObjectId.is_valid(text):
        raise ConfigurationError(f"{text!r} is no user id (24 hexadecimal digits) and no e-mail.")
    return ObjectId(text)
