"""What a step changes, who may take it, its timers, and what comes of a transfer (2, 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from builders import (
    COMMANDS,
    GIVEN_TO_BOB,
    ID,
    MAIL,
    PATHS,
    START,
    TO_ANN,
    Unchanged,
    after,
    attachment,
    differences,
    later,
    mail,
    natural_actor,
    offered,
    situation,
    submitted,
)

from lifecycle import commands as c
from lifecycle.engine import Step, expiry, follow_up_due, is_waiting, step, submit
from lifecycle.errors import (
    DeadlinePassed,
    InternalError,
    InvalidParameter,
    LifecycleError,
    NotPermitted,
    NotValidInState,
    StaleOffer,
    TableError,
)
from lifecycle.interaction import (
    DEFAULT_LIMITS,
    Draft,
    Interaction,
    Limits,
    Parking,
    Transfer,
    UserData,
)
from lifecycle.table import EMAIL, capabilities
from lifecycle.vocabulary import SYSTEM, Actor, State

NOW = later(10)
DELIVERING = timedelta(seconds=30)
HANDLING = timedelta(minutes=180)
DRAFT = Draft(
    id=f"{ID}D1",
    to_address="Zoé <zoe@home.example>",
    from_address="help@shop.example",
    subject="Re: Where is my order?",
    text="Soon.",
    references=("<m0@shop.example>", "<m1@home.example>", "<m2@home.example>"),
)
LEFT: dict[str, Any] = {"agent_id": None, "deadline": None}


def take(interaction: Interaction, command: c.Command, actor: Actor | None = None) -> Step:
    """A step ten seconds after the start, by whoever would do it."""
    by = natural_actor(interaction, command.trigger) if actor is None else actor
    return step(interaction, command, actor=by, at=NOW)


# -- submission --------------------------------------------------------------------------------


def test_a_submission_is_version_0_in_the_initial_state() -> None:
    """A submitted mail is Queued, with all that the host knew, and nobody holds it."""
    interaction = submitted()
    assert (interaction.id, interaction.version, interaction.state) == (ID, 0, "Queued")
    assert interaction.email is MAIL
    assert interaction.queue == "support"
    assert interaction.user_data == {"priority": 3, "tags": ["new", None]}
    assert interaction.comment == "a regular customer"
    submission = interaction.submission
    assert submission.our_addresses == ("help@shop.example", "sales@shop.example")
    assert submission.in_queues == ("support", "billing")
    assert submission.out_queues == ("outbox",)
    assert submission.contact_id == "C77"
    assert submission.received_at == "2026-03-02T09:00:00Z"
    assert (interaction.agent_id, interaction.offer, interaction.deadline) == (None, 0, None)
    assert (interaction.draft, interaction.drafts, interaction.workbin) == (None, 0, None)
    assert (interaction.transfer_origin, interaction.transfer_target) == (None, None)
    assert interaction.reason is None


def test_a_submission_needs_only_mail_id_queue_and_time() -> None:
    """What the host does not know is empty, or null where section 4 says so."""
    interaction = submit(mail(), id="7", queue=None, at=START)
    assert interaction.queue is None
    assert interaction.user_data == {}
    assert interaction.comment is None
    submission = interaction.submission
    assert submission.contact_id is None
    assert submission.our_addresses == submission.in_queues == submission.out_queues == ()


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(2014, 3, 11, 10, 22, 18, 999_999, UTC), "2014-03-11T10:22:18Z"),
        (datetime(2014, 3, 11, 0, 30, tzinfo=timezone(timedelta(hours=2))), "2014-03-10T22:30:00Z"),
    ],
)
def test_received_at_is_utc_in_whole_seconds(at: datetime, shown: str) -> None:
    """The time of submission is shown in UTC, cut to seconds, with a Z."""
    assert submitted(at=at).submission.received_at == shown


def test_an_interaction_and_its_parts_are_immutable() -> None:
    """Nothing of an interaction, fresh or stepped, can be set."""
    for interaction in (submitted(), situation("ReplyCreated")):
        for part in (interaction, interaction.submission, interaction.email, interaction.draft):
            for field in attrs.fields(type(part)) if part is not None else ():
                with pytest.raises(attrs.exceptions.FrozenInstanceError):
                    setattr(part, field.name, None)
        with pytest.raises(AttributeError):
            interaction.another = 1  # type: ignore[attr-defined]  # that it fails is the test


def test_equal_interactions_are_equal_and_hash_alike() -> None:
    """Two interactions with the same life are equal, and no other is equal to them."""
    one, other = situation("ReplyCreated"), situation("ReplyCreated")
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert one != situation("Accepted")
    assert one != one.change()


@pytest.mark.parametrize(
    ("auto_reply", "report", "automatic"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_what_a_machine_wrote_is_automatic(auto_reply: bool, report: bool, automatic: bool) -> None:
    """An auto-reply and a delivery report must not be answered by a host."""
    email = mail(is_auto_reply=auto_reply, is_delivery_report=report)
    assert email.is_automatic is automatic


# -- what else changes: one line a row ---------------------------------------------------------

INVITED = {"state": "Invited", "agent_id": "dan", "deadline": NOW + DELIVERING}
ACCEPTED = {"state": "Accepted", "deadline": NOW + HANDLING}
PARKED = {**LEFT, "state": "InWorkbin"}
REVOKED = {**LEFT, "state": "Revoked", "reason": "late"}
RETURNED = {**ACCEPTED, "agent_id": "ann", "transfer": None}
CLOSED = {"state": "Completed", "reason": "spam"}
KEPT = {"state": "ReplyCreated", "deadline": NOW + HANDLING}
CC = ("Max <max@home.example>", "Eve <eve@work.example>")
NEW_DATA = UserData.of({"priority": 1, "tags": ["new", None]})
EFFECTS: list[tuple[str, c.Command, dict[str, Any]]] = [
    ("Queued", COMMANDS["Invite"], {**INVITED, "offer": 1}),
    ("Rejected", COMMANDS["Invite"], {**INVITED, "offer": 2}),
    ("Rejected in a transfer", COMMANDS["Invite"], {**INVITED, "offer": 3}),
    ("Revoked", COMMANDS["Invite"], {**INVITED, "offer": 2}),
    ("Revoked in a transfer", COMMANDS["Invite"], {**INVITED, "offer": 3}),
    ("Revoked with a kept draft", COMMANDS["Invite"], {**INVITED, "offer": 2}),
    ("Transferred", COMMANDS["Invite"], {**INVITED, "offer": 2}),
    ("Transferred to a skill", COMMANDS["Invite"], {**INVITED, "offer": 2}),
    ("Invited", COMMANDS["Accept"], ACCEPTED),
    ("Invited in a transfer", COMMANDS["Accept"], {**ACCEPTED, "transfer": None}),
    ("Invited", COMMANDS["Reject"], {**LEFT, "state": "Rejected", "reason": "busy"}),
    (
        "Invited in a transfer",
        COMMANDS["Reject"],
        {"agent_id": None, "deadline": NOW, "state": "Rejected", "reason": "busy"},
    ),
    ("Invited", COMMANDS["Revoke"], REVOKED),
    ("Invited in a transfer", COMMANDS["Revoke"], {**REVOKED, "deadline": NOW}),
    ("Accepted", COMMANDS["Revoke"], REVOKED),
    ("ReplyCreated", COMMANDS["Revoke"], REVOKED),
    ("InWorkbin", COMMANDS["Revoke"], {"state": "Revoked", "reason": "late", "parking": None}),
    (
        "InWorkbin from ReplyCreated",
        COMMANDS["Revoke"],
        {"state": "Revoked", "reason": "late", "parking": None},
    ),
    ("Transferred", COMMANDS["Return"], RETURNED),
    ("Transferred to a skill", COMMANDS["Return"], RETURNED),
    ("Rejected in a transfer", COMMANDS["Return"], RETURNED),
    ("Revoked in a transfer", COMMANDS["Return"], RETURNED),
    ("Queued", COMMANDS["Close"], CLOSED),
    ("Rejected", COMMANDS["Close"], CLOSED),
    ("Rejected in a transfer", COMMANDS["Close"], {**CLOSED, "transfer": None, "deadline": None}),
    ("Revoked", COMMANDS["Close"], CLOSED),
    ("Revoked with a kept draft", COMMANDS["Close"], CLOSED),
    (
        "Accepted",
        c.Transfer(agent_id="dan"),
        {
            **LEFT,
            "state": "Transferred",
            "deadline": NOW,
            "transfer": Transfer(
                origin="ann", agent_id="dan", skill=None, deadline=NOW + timedelta(seconds=30)
            ),
        },
    ),
    (
        "Accepted with a kept draft",
        c.Transfer(skill="french"),
        {
            **LEFT,
            "state": "Transferred",
            "deadline": NOW + timedelta(seconds=30),
            "transfer": Transfer(
                origin="ann", agent_id=None, skill="french", deadline=NOW + timedelta(seconds=30)
            ),
        },
    ),
    (
        "Accepted",
        COMMANDS["Reply"],
        {**KEPT, "draft": attrs.evolve(DRAFT, text="Tomorrow."), "drafts": 1},
    ),
    (
        "Accepted with a kept draft",
        COMMANDS["Reply"],
        {**KEPT, "draft": attrs.evolve(DRAFT, text="Tomorrow.")},
    ),
    (
        "Accepted",
        COMMANDS["ReplyAll"],
        {**KEPT, "draft": attrs.evolve(DRAFT, text="Tomorrow.", cc_addresses=CC), "drafts": 1},
    ),
    (
        "Accepted with a kept draft",
        COMMANDS["ReplyAll"],
        {**KEPT, "draft": attrs.evolve(DRAFT, text="Tomorrow.", cc_addresses=CC)},
    ),
    (
        "Accepted",
        COMMANDS["StopProcessing"],
        {**LEFT, "state": "Completed", "reason": "solved"},
    ),
    (
        "Accepted with a kept draft",
        COMMANDS["StopProcessing"],
        {**LEFT, "state": "Completed", "reason": "solved", "draft": None},
    ),
    ("Accepted", COMMANDS["PlaceInQueue"], {**LEFT, "state": "Queued", "queue": "billing"}),
    (
        "Accepted with a kept draft",
        COMMANDS["PlaceInQueue"],
        {**LEFT, "state": "Queued", "queue": "billing"},
    ),
    (
        "Accepted",
        COMMANDS["PlaceInWorkbin"],
        {**PARKED, "parking": Parking(workbin="later", source="Accepted")},
    ),
    (
        "ReplyCreated",
        COMMANDS["PlaceInWorkbin"],
        {**PARKED, "parking": Parking(workbin="later", source="ReplyCreated")},
    ),
    (
        "Accepted",
        COMMANDS["UpdateProperties"],
        {"deadline": NOW + HANDLING, "user_data": NEW_DATA, "comment": "called"},
    ),
    (
        "ReplyCreated",
        COMMANDS["UpdateProperties"],
        {"deadline": NOW + HANDLING, "user_data": NEW_DATA, "comment": "called"},
    ),
    (
        "InWorkbin from ReplyCreated",
        COMMANDS["Pull"],
        {**KEPT, "agent_id": "cat", "parking": None},
    ),
    ("InWorkbin", COMMANDS["Pull"], {**ACCEPTED, "agent_id": "cat", "parking": None}),
    (
        "InWorkbin with a kept draft",
        COMMANDS["Pull"],
        {**ACCEPTED, "agent_id": "cat", "parking": None},
    ),
    ("ReplyCreated", COMMANDS["Cancel"], {**ACCEPTED, "draft": None}),
    ("ReplyCreated", COMMANDS["Send"], {**LEFT, "state": "Sent"}),
    (
        "ReplyCreated",
        COMMANDS["LinkAttachment"],
        {
            "deadline": NOW + HANDLING,
            "draft": attrs.evolve(DRAFT, attachments=(attachment("A2"),)),
        },
    ),
]


@pytest.mark.parametrize(
    ("name", "command", "changed"),
    EFFECTS,
    ids=[f"{name}, {command.trigger}" for name, command, _ in EFFECTS],
)
def test_a_row_changes_what_the_table_says_and_nothing_else(
    name: str, command: c.Command, changed: dict[str, Any]
) -> None:
    """The last column of section 2, with the timer of the new state: exactly these fields."""
    before = situation(name)
    with Unchanged(before):
        assert differences(before, take(before, command).interaction) == changed


def test_every_row_has_its_effect_tested() -> None:
    """The list above takes all 30 rows of the table."""
    taken = {id(take(situation(name), command).row) for name, command, _ in EFFECTS}
    assert len(taken) == 30
    assert taken == set(map(id, EMAIL.rows))


# -- who may -----------------------------------------------------------------------------------

BY_SYSTEM = [
    *((state, "Invite") for state in ("Queued", "Rejected", "Revoked", "Transferred")),
    *((state, "Revoke") for state in ("Invited", "Accepted", "ReplyCreated", "InWorkbin")),
    *((name, "Return") for name in ("Transferred", "Rejected in a transfer")),
    ("Revoked in a transfer", "Return"),
    *((state, "Close") for state in ("Queued", "Rejected", "Revoked")),
]
BY_HOLDER = [
    ("Invited", "Accept"),
    ("Invited", "Reject"),
    *(
        ("Accepted", trigger)
        for trigger in ("Transfer", "Reply", "ReplyAll", "StopProcessing", "PlaceInQueue")
    ),
    ("Accepted", "PlaceInWorkbin"),
    ("Accepted", "UpdateProperties"),
    *(
        ("ReplyCreated", trigger)
        for trigger in ("PlaceInWorkbin", "UpdateProperties", "Cancel", "Send", "LinkAttachment")
    ),
]
BY_ANY_AGENT = [("InWorkbin", "Pull"), ("InWorkbin from ReplyCreated", "Pull")]
ACTORS = [
    *((cell, SYSTEM, None) for cell in BY_SYSTEM),
    *((cell, "ann", "only system may") for cell in BY_SYSTEM),
    *((cell, "eve", "only system may") for cell in BY_SYSTEM),
    *((cell, "ann", None) for cell in BY_HOLDER),
    *((cell, "eve", "only invited agent may") for cell in BY_HOLDER[:2]),
    *((cell, SYSTEM, "only invited agent may") for cell in BY_HOLDER[:2]),
    *((cell, "eve", "only owner may") for cell in BY_HOLDER[2:]),
    *((cell, SYSTEM, "only owner may") for cell in BY_HOLDER[2:]),
    *((cell, "ann", None) for cell in BY_ANY_AGENT),
    *((cell, "eve", None) for cell in BY_ANY_AGENT),
    *((cell, SYSTEM, "only an agent of the workbin may") for cell in BY_ANY_AGENT),
]


@pytest.mark.parametrize(("cell", "actor", "refusal"), ACTORS)
def test_who_may(cell: tuple[str, str], actor: Actor, refusal: str | None) -> None:
    """Each row with the system, with who holds it, and with another agent: fourth column of 2."""
    name, trigger = cell
    before = situation(name)
    with Unchanged(before):
        if refusal is None:
            assert take(before, COMMANDS[trigger], actor).interaction.version == before.version + 1
            return
        with pytest.raises(NotPermitted) as raised:
            take(before, COMMANDS[trigger], actor)
    error = raised.value
    assert (error.status_code, error.http_status) == (5, 403)
    assert error.message == refusal
    assert error.value is actor
    assert error.agent_id == (None if actor is SYSTEM else actor)
    assert (error.interaction_id, error.state, error.trigger) == (ID, name.split()[0], trigger)
    assert error.capabilities == capabilities(name.split()[0])


def test_who_may_covers_every_row() -> None:
    """The three lists of cells above are the 30 rows."""
    rows = {
        id(take(situation(name), COMMANDS[trigger]).row)
        for name, trigger in (*BY_SYSTEM, *BY_HOLDER, *BY_ANY_AGENT)
    }
    assert rows == set(map(id, EMAIL.rows))


def test_an_agent_called_system_is_an_agent() -> None:
    """No agent id, whatever it says, makes an agent the system."""
    with pytest.raises(NotPermitted):
        take(submitted(), c.Close(), "system")


def test_a_row_that_is_not_there_is_named_before_the_wrong_actor() -> None:
    """Legality is judged first: an agent who may not anyway is told that nobody may."""
    with pytest.raises(NotValidInState):
        take(situation("Sent"), c.Accept(), "eve")


@pytest.mark.parametrize("actor", ["", None, 7, "\ud800"])
def test_an_actor_that_is_no_agent_id_gets_nothing(actor: Any) -> None:
    """Where any agent may, an empty or malformed agent id is refused and does not own it."""
    before = situation("InWorkbin")
    with Unchanged(before), pytest.raises((NotPermitted, InvalidParameter)):
        step(before, c.Pull(), actor=actor, at=NOW)


# -- offers ------------------------------------------------------------------------------------


def test_offers_are_numbered_from_1_for_the_life_of_an_interaction() -> None:
    """Every Invite is a new offer, whoever it is for, and no other trigger makes one."""
    interaction = submitted()
    for number in (1, 2, 3):
        interaction = after(interaction, offered(f"agent{number}"))
        assert interaction.offer == number
        interaction = after(interaction, (SYSTEM, c.Revoke()))
        assert interaction.offer == number


@pytest.mark.parametrize("command", [c.Accept(offer=2), c.Reject(offer=2)])
def test_the_present_offer_may_be_named(command: c.Command) -> None:
    """Accept and Reject may say which offer they mean."""
    invited = after(situation("Rejected"), offered("ann"))
    assert take(invited, command).interaction.agent_id in ("ann", None)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("command", [c.Accept, c.Reject])
def test_another_offers_number_is_refused(command: type[Any], number: int) -> None:
    """An older or a future offer's number is stale, and nothing changes."""
    invited = after(situation("Rejected"), offered("ann"))
    with Unchanged(invited), pytest.raises(StaleOffer, match="number 2") as raised:
        take(invited, command(offer=number))
    error = raised.value
    assert (error.status_code, error.http_status) == (2, 409)
    assert (error.path, error.value) == ("$.offer", number)
    assert (error.interaction_id, error.state, error.agent_id) == (ID, "Invited", "ann")
    assert (error.trigger, error.capabilities) == (command.trigger, ("Accept", "Reject"))


# -- timers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 30), (1, 1), (0.5, 0.5), (86_400 * 365, 86_400 * 365)]
)
def test_the_delivering_timer_is_given_or_the_default(
    timeout: float | None, seconds: float
) -> None:
    """An offer runs as long as the invitation says, else 30 seconds."""
    command = c.Invite(agent_id="ann", delivering_timeout=timeout)
    assert take(submitted(), command).interaction.deadline == NOW + timedelta(seconds=seconds)


def test_the_timeouts_are_configurable() -> None:
    """Limits replace the default of each timer."""
    limits = Limits(
        delivering_timeout=timedelta(seconds=5),
        handling_timeout=timedelta(seconds=7),
        transfer_timeout=timedelta(seconds=9),
    )
    interaction = submitted()
    seen = []
    for actor, command in (*TO_ANN, ("ann", c.Transfer(skill="french"))):
        interaction = step(interaction, command, actor=actor, at=NOW, limits=limits).interaction
        seen.append(interaction.deadline)
    assert seen == [later(15), later(17), later(19)]


def test_the_default_limits_are_those_of_section_5() -> None:
    """30 seconds to accept, 180 minutes to act, 30 seconds for a transfer."""
    assert Limits() == DEFAULT_LIMITS
    assert attrs.astuple(DEFAULT_LIMITS) == (DELIVERING, HANDLING, timedelta(seconds=30))


@pytest.mark.parametrize("name", ["delivering_timeout", "handling_timeout", "transfer_timeout"])
@pytest.mark.parametrize("value", [timedelta(0), timedelta(seconds=-1)])
def test_limits_are_positive(name: str, value: timedelta) -> None:
    """A timeout of no time, or less, is refused by name."""
    with pytest.raises(InvalidParameter) as raised:
        Limits(**{name: value})
    assert (raised.value.path, raised.value.value) == (f"$.{name}", value)


@pytest.mark.parametrize(
    ("name", "trigger"),
    [
        ("Accepted", "UpdateProperties"),
        ("Accepted", "Reply"),
        ("Accepted", "ReplyAll"),
        ("ReplyCreated", "UpdateProperties"),
        ("ReplyCreated", "LinkAttachment"),
        ("ReplyCreated", "Cancel"),
    ],
)
def test_the_owner_restarts_the_handling_timer(name: str, trigger: str) -> None:
    """Every operation of the owner that leaves it on the desk gives 180 minutes more."""
    before = situation(name)
    assert before.deadline == START + HANDLING
    now = step(before, COMMANDS[trigger], actor="ann", at=later(3600)).interaction
    assert now.deadline == later(3600) + HANDLING


def test_the_owner_may_act_after_the_handling_deadline_until_it_fires() -> None:
    """Only Accept is refused at its deadline; the owner's work goes on until Revoke comes."""
    before = situation("Accepted")
    late = START + HANDLING + timedelta(seconds=1)
    now = step(before, c.Reply(), actor="ann", at=late).interaction
    assert now.deadline == late + HANDLING


@pytest.mark.parametrize("moment", [30, 30.000001, 3600])
def test_accept_at_or_after_the_deadline_is_refused(moment: float) -> None:
    """The deadline itself is too late, whether or not the timer has fired."""
    before = situation("Invited")
    with Unchanged(before), pytest.raises(DeadlinePassed) as raised:
        step(before, c.Accept(), actor="ann", at=later(moment))
    error = raised.value
    assert (error.status_code, error.http_status) == (2, 409)
    assert error.value == later(30)
    assert (error.interaction_id, error.state, error.trigger) == (ID, "Invited", "Accept")
    assert (error.agent_id, error.capabilities) == ("ann", ("Accept", "Reject"))


def test_accept_before_the_deadline_is_in_time() -> None:
    """A microsecond before the deadline the offer still stands."""
    at = later(30) - timedelta(microseconds=1)
    now = step(situation("Invited"), c.Accept(), actor="ann", at=at).interaction
    assert (now.state, now.deadline) == ("Accepted", at + HANDLING)


def test_a_stale_offer_is_named_before_the_deadline() -> None:
    """Another offer's number is what is wrong, even where the present offer has expired."""
    with pytest.raises(StaleOffer):
        step(situation("Invited"), c.Accept(offer=9), actor="ann", at=later(31))


@pytest.mark.parametrize("trigger", ["Reject", "Revoke"])
def test_an_expired_offer_can_still_be_rejected_or_revoked(trigger: str) -> None:
    """The deadline refuses Accept only."""
    before = situation("Invited")
    actor = natural_actor(before, trigger)
    now = step(before, COMMANDS[trigger], actor=actor, at=later(31)).interaction
    assert now.deadline is None


@pytest.mark.parametrize(
    "name", ["Queued", "Rejected", "Revoked", "InWorkbin", "Sent", "Completed"]
)
def test_no_timer_runs_where_nobody_holds_it(name: str) -> None:
    """Without a transfer, an interaction that nobody holds waits for ever."""
    interaction = situation(name)
    assert interaction.deadline is None
    assert expiry(interaction) == ()
    assert not follow_up_due(interaction)


@pytest.mark.parametrize("zone", [ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=-5))])
def test_a_timer_is_as_long_in_any_zone(zone: Any) -> None:
    """Deadlines are UTC, and no daylight saving makes a timer longer or shorter."""
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # half an hour before Berlin's clocks go on
    interaction = after(submitted(at=at), offered("ann"), at=at)
    now = step(interaction, c.Accept(), actor="ann", at=at.astimezone(zone)).interaction
    assert now.deadline is not None
    assert now.deadline.astimezone(UTC) == at + HANDLING
    assert now.deadline.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused() -> None:
    """A step needs an aware time."""
    before = situation("Accepted")
    naive = datetime(2026, 3, 2, 9)
    with Unchanged(before), pytest.raises(InvalidParameter) as raised:
        step(before, c.Reply(), actor="ann", at=naive)
    assert (raised.value.path, raised.value.value) == ("$.at", naive)
    assert (raised.value.interaction_id, raised.value.trigger) == (ID, "Reply")


@pytest.mark.parametrize("at", [datetime(2026, 3, 2, 9), None, 0, "2026-03-02T09:00:00Z"])
def test_a_submission_needs_a_time_with_its_zone(at: Any) -> None:
    """What is no time, or names no zone, is refused."""
    with pytest.raises(InvalidParameter) as raised:
        submitted(at=at)
    assert (raised.value.path, raised.value.value) == ("$.at", at)


# -- expiry and follow-ups ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "commands", "due"),
    [
        ("Invited", (c.Revoke(),), False),
        ("Invited in a transfer", (c.Revoke(),), False),
        ("Accepted", (c.Revoke(),), False),
        ("ReplyCreated", (c.Revoke(),), False),
        ("Transferred", (c.Invite(agent_id="bob"), c.Return()), True),
        ("Transferred to a skill", (c.Return(),), False),
        ("Rejected in a transfer", (c.Return(),), True),
        ("Revoked in a transfer", (c.Return(),), True),
        ("Rejected in a transfer to a skill", (c.Return(),), False),
    ],
)
def test_what_the_system_does_at_a_deadline(
    name: str, commands: tuple[c.Command, ...], due: bool
) -> None:
    """Section 5, last column; a follow-up at once is due only where an agent was the target."""
    interaction = situation(name)
    assert interaction.deadline is not None
    assert expiry(interaction) == commands
    assert follow_up_due(interaction) is due
    for command in commands:
        taken = step(interaction, command, actor=SYSTEM, at=interaction.deadline)
        assert taken.interaction.version == interaction.version + 1


@pytest.mark.parametrize("name", PATHS)
def test_what_waits_for_a_router(name: str) -> None:
    """What can be offered and has no follow-up due: in a queue, or refused, or for a skill."""
    waiting = {
        "Queued",
        "Rejected",
        "Rejected in a transfer to a skill",
        "Revoked",
        "Revoked with a kept draft",
        "Transferred to a skill",
    }
    assert is_waiting(situation(name)) is (name in waiting)


def test_a_follow_up_is_due_at_once() -> None:
    """Transferred to an agent, and rejected or revoked by that agent: the deadline is now."""
    transferred = take(situation("Accepted"), c.Transfer(agent_id="bob")).interaction
    assert transferred.deadline == NOW
    invited = take(transferred, c.Invite(agent_id="bob")).interaction
    assert invited.deadline == NOW + DELIVERING
    for actor, command in (("bob", c.Reject()), (SYSTEM, c.Revoke())):
        assert step(invited, command, actor=actor, at=later(20)).interaction.deadline == later(20)


def test_the_transfer_timer_runs_from_the_transfer_on() -> None:
    """A refused offer to a holder of the skill leaves the transfer's own deadline running."""
    interaction = take(situation("Accepted"), c.Transfer(skill="french")).interaction
    assert interaction.deadline == later(40)
    interaction = step(
        interaction, c.Invite(agent_id="bob"), actor=SYSTEM, at=later(12)
    ).interaction
    assert interaction.deadline == later(42)  # the offer's, which is left to finish
    rejected = step(interaction, c.Reject(), actor="bob", at=later(20)).interaction
    assert rejected.deadline == later(40)
    revoked = step(interaction, c.Revoke(), actor=SYSTEM, at=later(42)).interaction
    assert revoked.deadline == later(40)  # passed already, so it returns at once
    assert expiry(revoked) == (c.Return(),)


# -- transfers ---------------------------------------------------------------------------------


def test_a_transfer_records_who_gave_it_to_whom() -> None:
    """Origin and target are kept through Invited, Rejected and Revoked."""
    interaction = after(submitted(), *GIVEN_TO_BOB)
    for act in (
        offered("bob"),
        ("bob", c.Reject()),
        offered("cat"),
        (SYSTEM, c.Revoke()),
        offered("bob"),
    ):
        interaction = after(interaction, act)
        assert interaction.transfer_origin == "ann"
        assert interaction.transfer_target == "bob"


def test_the_target_of_a_transfer_may_be_a_skill() -> None:
    """The skill is the target where no agent is named."""
    assert situation("Transferred to a skill").transfer_target == "french"


@pytest.mark.parametrize(
    "path",
    [
        (offered("bob"), ("bob", c.Accept())),
        ((SYSTEM, c.Return()),),
        (offered("bob"), ("bob", c.Reject()), (SYSTEM, c.Return())),
        (offered("bob"), ("bob", c.Reject()), (SYSTEM, c.Close())),
        (offered("bob"), (SYSTEM, c.Revoke()), (SYSTEM, c.Close())),
    ],
)
def test_a_transfer_is_forgotten_when_it_ends(path: tuple[Any, ...]) -> None:
    """Accept, Return and Close end a transfer."""
    interaction = after(submitted(), *GIVEN_TO_BOB, *path)
    assert (interaction.transfer_origin, interaction.transfer_target) == (None, None)
    assert not follow_up_due(interaction)


def test_a_finished_transfer_does_not_return_later() -> None:
    """What Bob accepted and then loses belongs to the queue, not to Ann."""
    interaction = after(
        submitted(), *GIVEN_TO_BOB, offered("bob"), ("bob", c.Accept()), (SYSTEM, c.Revoke())
    )
    with pytest.raises(NotValidInState):
        after(interaction, (SYSTEM, c.Return()))


def test_one_cannot_transfer_to_oneself() -> None:
    """The owner is no target, and the refusal names the parameter."""
    before = situation("Accepted")
    with Unchanged(before), pytest.raises(InvalidParameter) as raised:
        take(before, c.Transfer(agent_id="ann"))
    assert (raised.value.path, raised.value.value) == ("$.agentId", "ann")
    assert (raised.value.trigger, raised.value.agent_id) == ("Transfer", "ann")


# -- the draft in the hands of its owner -------------------------------------------------------


def test_send_makes_the_last_edits() -> None:
    """What Send gives replaces the draft's fields; the rest stays; the draft is kept to send."""
    command = c.Send(
        subject="Your order",
        text="It left.",
        structured_text="<p>It left.</p>",
        to_address="zoe@home.example, max@home.example",
        cc_addresses=["eve@work.example"],
        queue="outbox",
    )
    sent = take(situation("ReplyCreated"), command).interaction
    assert sent.draft == attrs.evolve(
        DRAFT,
        subject="Your order",
        text="It left.",
        structured_text="<p>It left.</p>",
        to_address="zoe@home.example, max@home.example",
        cc_addresses=("eve@work.example",),
        queue="outbox",
    )


@pytest.mark.parametrize(
    "edits",
    [
        {"to_address": ""},
        {"to_address": "undisclosed"},
        {"to_address": " , ", "cc_addresses": ["nobody"]},
    ],
)
def test_a_draft_without_recipient_is_not_sent(edits: dict[str, Any]) -> None:
    """Neither To nor Cc holds an address: refused, and the edits are not saved."""
    before = situation("ReplyCreated")
    with Unchanged(before), pytest.raises(InvalidParameter, match="no recipient") as raised:
        take(before, c.Send(**edits))
    assert (raised.value.path, raised.value.value) == ("$.toAddress", edits["to_address"])


def test_a_recipient_in_cc_is_enough() -> None:
    """A draft with an empty To and an address in Cc is sent."""
    command = c.Send(to_address="", cc_addresses=["eve@work.example"])
    assert take(situation("ReplyCreated"), command).interaction.state == "Sent"


def test_update_properties_saves_the_draft() -> None:
    """In ReplyCreated the given fields are saved into the draft, the others are left."""
    before = situation("ReplyCreated")
    now = take(before, c.UpdateProperties(text="", cc_addresses=("a@b.example",))).interaction
    assert now.draft == attrs.evolve(DRAFT, text="", cc_addresses=("a@b.example",))
    assert (now.user_data, now.comment) == (before.user_data, before.comment)


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        ({"subject": "x"}, "$.subject"),
        ({"text": ""}, "$.text"),
        ({"structured_text": "x"}, "$.structuredText"),
        ({"to_address": "x"}, "$.toAddress"),
        ({"cc_addresses": ()}, "$.ccAddresses"),
    ],
)
@pytest.mark.parametrize("name", ["Accepted", "Accepted with a kept draft"])
def test_a_draft_is_edited_only_in_reply_created(
    name: str, edit: dict[str, Any], path: str
) -> None:
    """In Accepted the draft's fields are refused, and the rest of the command is not done."""
    before = situation(name)
    with Unchanged(before), pytest.raises(InvalidParameter, match="no reply") as raised:
        take(before, c.UpdateProperties(user_data={"x": 1}, comment="x", **edit))
    assert raised.value.path == path


def test_update_properties_without_parameters_only_restarts_the_timer() -> None:
    """It changes nothing else, and shares user data and draft with the version before."""
    before = situation("ReplyCreated")
    now = take(before, c.UpdateProperties()).interaction
    assert differences(before, now) == {"deadline": NOW + HANDLING}
    assert now.draft is before.draft
    assert now.user_data is before.user_data


def test_update_properties_sets_before_it_deletes() -> None:
    """Values are set, then keys deleted; a key that is not there is ignored."""
    command = c.UpdateProperties(
        user_data={"a": 1, "b": {"c": 2}}, delete_keys=["a", "priority", "nowhere"]
    )
    now = take(situation("Accepted"), command).interaction
    assert now.user_data == {"tags": ["new", None], "b": {"c": 2}}


def test_a_comment_can_be_emptied() -> None:
    """A given comment replaces the old one, also an empty one; none given leaves it."""
    before = situation("Accepted")
    assert take(before, c.UpdateProperties(comment="")).interaction.comment == ""
    assert take(before, c.UpdateProperties()).interaction.comment == "a regular customer"


def test_attachments_are_linked_in_order_and_once() -> None:
    """Each linked file is added behind the others; one id twice is refused."""
    interaction = situation("ReplyCreated")
    for id in ("A2", "A1"):
        interaction = take(interaction, c.LinkAttachment(attachment=attachment(id))).interaction
    assert interaction.draft is not None
    assert [linked.id for linked in interaction.draft.attachments] == ["A2", "A1"]
    with Unchanged(interaction), pytest.raises(InvalidParameter, match="already") as raised:
        take(interaction, c.LinkAttachment(attachment=attachment("A2", name="other.pdf")))
    assert (raised.value.path, raised.value.value) == ("$.attachment.id", "A2")


@pytest.mark.parametrize(
    ("name", "trigger"),
    [
        ("Revoked", "Revoke"),
        ("Rejected", "Reject"),
        ("Completed", "Close"),
        ("Completed", "StopProcessing"),
    ],
)
@pytest.mark.parametrize("reason", [None, "", "too long"])
def test_reasons_are_recorded(name: str, trigger: str, reason: str | None) -> None:
    """The reason of the latest Revoke, Reject, Close or StopProcessing replaces the one before."""
    sources = {"Revoke": "Accepted", "Reject": "Invited", "Close": "Queued"}
    before = attrs.evolve(situation(sources.get(trigger, "Accepted")), reason="older")
    command: type[Any] = type(COMMANDS[trigger])
    now = take(before, command(reason=reason)).interaction
    assert (now.state, now.reason) == (name, reason)


# -- capabilities ------------------------------------------------------------------------------


def test_capabilities_are_those_of_section_3() -> None:
    """Every state's list, in the global order."""
    listed = {str(state): " ".join(capabilities(state)) for state in State}
    assert listed == {
        "Queued": "",
        "Invited": "Accept Reject",
        "Accepted": "Transfer Reply ReplyAll StopProcessing PlaceInQueue PlaceInWorkbin"
        " UpdateProperties",
        "Rejected": "",
        "Revoked": "",
        "ReplyCreated": "Cancel Send PlaceInWorkbin UpdateProperties LinkAttachment",
        "Transferred": "",
        "InWorkbin": "",
        "Sent": "",
        "Completed": "",
    }


@pytest.mark.parametrize("state", ["", "accepted", "Forwarded"])
def test_capabilities_of_an_unknown_state_are_refused(state: str) -> None:
    """A state that the table does not have is an error, not an empty list."""
    with pytest.raises(TableError, match="no state") as raised:
        capabilities(state)
    assert raised.value.value == state


def test_an_interaction_in_a_state_that_the_table_lacks_is_refused() -> None:
    """A value from another table, with a state of that table, is not stepped on."""
    before = attrs.evolve(submitted(), state="InReview")
    with Unchanged(before), pytest.raises(InvalidParameter) as raised:
        step(before, c.Close(), actor=SYSTEM, at=NOW)
    assert (raised.value.path, raised.value.value) == ("$.state", "InReview")
    assert (raised.value.state, raised.value.capabilities) == ("InReview", ())


def test_a_reply_without_draft_is_an_internal_error() -> None:
    """No steps lead there; a corrupt value is named and not shown as an empty reply."""
    before = attrs.evolve(situation("ReplyCreated"), draft=None)
    for command in (c.Send(), COMMANDS["LinkAttachment"], c.UpdateProperties()):
        with Unchanged(before), pytest.raises(InternalError) as raised:
            take(before, command)
        assert isinstance(raised.value, LifecycleError)
        assert (raised.value.interaction_id, raised.value.status_code) == (ID, 4)
    pulled = attrs.evolve(situation("InWorkbin from ReplyCreated"), draft=None)
    with Unchanged(pulled), pytest.raises(InternalError, match="no draft") as raised:
        take(pulled, c.Pull())
    assert raised.value.interaction_id == ID


def test_a_step_shares_what_it_does_not_change() -> None:
    """Mail, user data and draft are the same objects in the next version."""
    before = situation("ReplyCreated")
    now = take(before, c.PlaceInWorkbin(workbin="later")).interaction
    assert now.submission is before.submission
    assert now.user_data is before.user_data
    assert now.draft is before.draft
    assert now.workbin == "later"
