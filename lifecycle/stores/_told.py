"""L6. Telling of a commit, whatever those who are told make of it."""

from __future__ import annotations

import asyncio
import logging

from lifecycle._hushed import hushed
from lifecycle.ports import Told

_log = logging.getLogger("lifecycle.store")


def tell(told: Told | None) -> None:
    """Call what is to be told, if anything.

    It raises nothing; if it does all the same that is logged, as the others who were served with
    it would otherwise wait for ever.
    """
    if told is None:
        return
    try:
        told()
    except (Exception, asyncio.CancelledError) as error:
        _log.error("what was committed could not be told", exc_info=hushed(error))
