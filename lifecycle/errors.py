"""L0. Every error of the library: one root, and fields instead of prose (semantics 7).

A refusal changes nothing and says why. Each class stands for one line of the table of
refusals: `status_code` and `http_status` are what an operations API answers with.
"""

from __future__ import annotations

from typing import Any, ClassVar

_VALUE_LENGTH = 120


def shown(value: object) -> str:
    """A value as an error message shows it: its `repr`, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 3]}..."


class LifecycleError(Exception):
    """The root of all errors that the library raises on purpose.

    Arguments:
        message: what went wrong, in one sentence.
        interaction_id: the interaction concerned, if any.
        state: the state that it was in.
        trigger: what was asked for.
        capabilities: the operations that `state` permits an agent.
        agent_id: the agent who asked, or who is concerned.
        path: the `$.path` of the offending parameter, in wire names.
        value: the offending value.

    All of them are attributes afterwards. The text of the error names those that are set.
    """

    status_code: ClassVar[int | None] = 4
    """The `statusCode` of an answer (semantics 7); None where HTTP alone says it."""
    http_status: ClassVar[int] = 500
    """The HTTP status of an answer (semantics 7)."""

    def __init__(
        self,
        message: str = "",
        *,
        interaction_id: str | None = None,
        state: str | None = None,
        trigger: str | None = None,
        capabilities: tuple[str, ...] = (),
        agent_id: str | None = None,
        path: str | None = None,
        value: Any = None,
    ) -> None:
        self.args = (message,)
        self.message = message
        self.interaction_id = interaction_id
        self.state = state
        self.trigger = trigger
        self.capabilities = capabilities
        self.agent_id = agent_id
        self.path = path
        self.value = value

    def __str__(self) -> str:
        parts = [self.message or type(self).__name__]
        if self.path is not None:
            parts.append(f"at {self.path}: {shown(self.value)}")
        fields = {
            "interaction": self.interaction_id,
            "state": self.state,
            "trigger": self.trigger,
            "agent": self.agent_id,
        }
        known = [f"{name}={value}" for name, value in fields.items() if value is not None]
        if self.state is not None:
            known.append(f"capabilities={list(map(str, self.capabilities))}")
        if known:
            parts.append(f"[{', '.join(known)}]")
        return " ".join(parts)

    def answer(self) -> dict[str, int | str]:
        """The body of a refusal on the wire (semantics 7).

        Returns: `{"statusCode": n, "statusMessage": "..."}`; without `statusCode` where the
        HTTP status alone says it.
        """
        body: dict[str, int | str] = {}
        if self.status_code is not None:
            body["statusCode"] = self.status_code
        body["statusMessage"] = str(self)
        return body


class MissingParameter(LifecycleError):
    """A required parameter is missing; `path` names it."""

    status_code = 1
    http_status = 400


class NotValidInState(LifecycleError):
    """The trigger is not valid in the state that the interaction is in."""

    status_code = 2
    http_status = 409


class StaleOffer(NotValidInState):
    """The command names another offer than the present one; `value` is what it named."""


class DeadlinePassed(NotValidInState):
    """The command came at or after the deadline; `value` is that deadline."""


class RaceLost(NotValidInState):
    """Another step from the same version was committed first; `value` is that version."""


class Forbidden(LifecycleError):
    """The operation is forbidden now, and may be allowed later."""

    status_code = 3
    http_status = 409


class AgentNotReady(Forbidden):
    """The agent's media channel is not `Ready`; `value` is the reason, if one is known."""


class AgentAtCapacity(Forbidden):
    """The agent holds as many interactions as allowed; `value` is the capacity."""


class BacklogFull(Forbidden):
    """Too many deliveries wait for the agent; `value` is the bound."""


class StreamStopped(Forbidden):
    """The agent's deliveries stopped at a parked one; `value` is its sequence."""


class InternalError(LifecycleError):
    """Something that is not the caller's fault."""


class Conflict(InternalError):
    """What a commit expected was not stored any more; nothing of it was committed.

    `value` names what differed. Whoever commits reads again and tries again.
    """


class StoreError(InternalError):
    """A store could not do what it was asked; `value` is what its driver or system said.

    Nothing was changed, unless it is raised while a commit was under way: then nobody can say,
    and asking again under the same `operationId` tells.
    """


class StoreUnavailable(StoreError):
    """The store cannot be opened, reached or written to; `path` is its address, if known."""


class StoreFull(StoreError):
    """There is no room for what was to be stored."""


class StoreCorrupt(StoreError):
    """What is stored cannot be right; `path` says where, `value` what stands there."""


class SchemaMismatch(StoreError):
    """The schema is not the one that the code knows; `value` is the version found."""


class NotPermitted(LifecycleError):
    """The agent is not the one who may, or lacks the role."""

    status_code = 5
    http_status = 403


class NotFound(LifecycleError):
    """No such interaction, agent, queue, workbin, skill, attachment; `value` is its id."""

    status_code = 6
    http_status = 404


class InvalidParameter(LifecycleError, ValueError):
    """A parameter does not validate; `path` and `value` name it."""

    status_code = 10
    http_status = 400


class UnknownOperation(InvalidParameter):
    """There is no operation or trigger of this name in the table."""


class OperationIdReused(InvalidParameter):
    """The operation id was used before with another request."""


class AlreadyExists(LifecycleError):
    """Another interaction has the given id."""

    status_code = 18
    http_status = 409


class NotAuthenticated(LifecycleError):
    """The caller is not authenticated."""

    status_code = 20
    http_status = 401


class TooLarge(LifecycleError):
    """The input is larger than a limit; `value` is that limit."""

    status_code = None
    http_status = 413


class MailTooLarge(TooLarge):
    """The message has more bytes than allowed."""


class MailTooDeep(TooLarge):
    """The parts of the message are nested deeper than allowed."""


class MailTooManyParts(TooLarge):
    """The message has more parts than allowed."""


class TooManyRequests(LifecycleError):
    """The caller asks more often than allowed."""

    status_code = None
    http_status = 429


class TableError(LifecycleError, ValueError):
    """A rule table does not hold together; the message names the row or the state."""
