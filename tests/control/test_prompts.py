"""Learning what aliases are sent, and answering for it."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import msgspec
import pytest

from gateway.control import prompts
from gateway.control.desk import Desk
from gateway.control.prompts import Learner
from gateway.core.contract.alias import Lane
from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Seen, Sightings
from gateway.core.contract.release import Mode
from gateway.settings.model import UndeclaredSettings
from gateway.store import aliases, templates
from tests.control.conftest import Make, Place, with_legs

pytestmark = pytest.mark.anyio


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk whose baselines close after three quiet runs."""
    undeclared = UndeclaredSettings(baseline_runs=3, baseline_time=0.0)
    settings = msgspec.structs.replace(desk.settings, undeclared=undeclared)
    return Desk(desk.store, settings, desk.pins, desk.actor, desk.now_ms)


async def sent(desk: Desk, alias: str, release: str, text: str, n: int, leg: str = "prompt") -> str:
    """What a worker tells of `n` requests of runs of their own; the text's digest."""
    digest = sha256(text.encode()).hexdigest()
    fields = ("alias", alias, "kind", leg, "digest", digest, "text", text)
    await desk.store.do("XADD", desk.store.keys.texts(), "*", *fields)
    pair = (digest, "") if leg == "prompt" else ("", digest)
    entry = Sightings(alias, desk.now_ms, (Seen(release, *pair, n, n),))
    await desk.store.do("XADD", desk.store.keys.sightings(), "*", "entry", msgspec.json.encode(entry))
    return digest


async def test_what_no_release_declares_is_counted_listed_and_told(desk: Desk, placed: Place, made: Make) -> None:
    """A baseline, a changed sentence and other tools: requests, share, history and digests for the workers."""
    await placed("grave", {"*": "A"})
    release, learner = await made("A"), Learner()
    await sent(desk, "grave", release, '"Be brief. It is 10:22:01."', 3)
    await sent(desk, "grave", release, '[{"name":"look"}]', 3, "tools")
    assert not any((await learner.look(desk)).standing.values())
    await sent(desk, "grave", release, '"Be brief. It is 10:22:02."', 5)
    await sent(desk, "grave", release, '[{"name":"look"}]', 5, "tools")
    assert (await learner.look(desk)).requests == {}
    changed = await sent(desk, "grave", release, '"Be rude. It is 10:22:03."', 2)
    other = await sent(desk, "grave", release, '[{"name":"look"},{"name":"drop"}]', 2, "tools")
    found = await learner.look(desk)
    assert found.requests == {("grave", "prompt"): 2, ("grave", "tools"): 2} and len(found.news) == 2
    assert found.standing == {("grave", "prompt"): 1, ("grave", "tools"): 1}
    whole = await prompts.listed(desk, "grave")
    assert [(row.leg, row.state, row.requests, row.share) for row in whole.templates] == [
        ("prompt", "baseline", 8, 0.8),
        ("prompt", "undeclared", 2, 0.2),
        ("tools", "baseline", 8, 0.8),
        ("tools", "undeclared", 2, 0.2),
    ]
    assert whole.templates[0].text == "Be brief.\nIt is {time}." and whole.templates[0].releases == (release,)
    assert [row.id for row in await prompts.undeclared(desk)] == [
        row.id for row in await prompts.undeclared(desk, "grave")
    ]
    entry = (await aliases.history(desk.store, "grave"))[0]
    assert (entry.action, entry.actor, entry.note) == ("undeclared", "learner", "freezes the rollout")
    assert (await Learner().look(desk)).standing == found.standing  # after a restart
    marked = await desk.store.do("SMEMBERS", desk.store.keys.undeclared("grave"))
    assert marked == {changed.encode(), other.encode()}


async def test_only_high_stakes_freeze_and_nothing_is_told_twice(desk: Desk, placed: Place, made: Make) -> None:
    """At stakes low the history says what came, once."""
    await placed("agent", {"*": "A"})
    release, learner = await made("A"), Learner()
    for n in (3, 3):
        await sent(desk, "agent", release, '"Be brief."', n)
        await learner.look(desk)
    for _ in range(3):
        await sent(desk, "agent", release, '"Be rude and loud to everybody here."', 2)
        await learner.look(desk)
    told = [entry for entry in await aliases.history(desk.store, "agent") if entry.action == "undeclared"]
    assert [entry.note for entry in told] == [""]


async def test_a_leg_that_is_served_or_verified_declares(desk: Desk, placed: Place) -> None:
    """What went out under it is its own; a served prompt that inserts the application's declares nothing."""
    await placed("agent", {"*": "A"})
    learner = Learner()
    verified = await with_legs(desk, "B", prompt=(Mode.VERIFY, "Be brief."))
    inserting = await with_legs(desk, "C", prompt=(Mode.SERVE, "Be kind. {{app}}"))
    for text in ('"Be brief."', '"Something else, while it was served."'):
        await sent(desk, "agent", verified, text, 9)
    await sent(desk, "agent", inserting, '"An application part of it."', 9)
    await learner.look(desk)
    states = {row.text: (row.state, row.releases) for row in (await prompts.listed(desk, "agent")).templates}
    assert states["Be brief."] == ("declared", (verified,))
    assert states["An application part of it."] == ("baseline", (inserting,))


async def test_a_release_declares_what_runs_of_another_bring(desk: Desk, placed: Place, made: Make) -> None:
    """An agent that is deployed ahead of its runs sends what a newer release of the alias declares: that is no secret."""
    state = await placed("agent", {"*": "A"})
    old, learner = await made("A"), Learner()
    newer = await with_legs(desk, "B", prompt=(Mode.VERIFY, "Help {{name}} today.\nAsk twice about prices."))
    lanes = {"tenant:acme": Lane(newer), **state.lanes}
    await aliases.write(desk.store, state, msgspec.structs.replace(state, lanes=lanes), desk.entry("apply", "test"))
    for n in (3, 3):
        await sent(desk, "agent", old, '"Be brief."', n)
        await learner.look(desk)
    await sent(desk, "agent", old, '"Help Alice Stone today.\\nAsk twice about prices."', 2)
    found = await learner.look(desk)
    assert found.news == () and found.requests == {}
    rows = {row.state: row for row in (await prompts.listed(desk, "agent")).templates}
    assert rows["declared"].releases == (newer,) and rows.keys() == {"baseline", "declared"}


async def test_every_request_counts_once_whoever_learns(desk: Desk, placed: Place, made: Make) -> None:
    """Several processes that look at the same time, and one that died before it trimmed, count nothing twice."""
    await placed("agent", {"*": "A"})
    release = await made("A")
    for n in range(6):
        await sent(desk, "agent", release, f'"Be brief. It is 10:22:0{n}."', 2)
    await asyncio.gather(*(Learner().look(desk) for _ in range(3)))
    seen, texts = await templates.sightings(desk.store), await templates.texts(desk.store)
    assert (seen, texts) == ([], [])
    (row,) = (await prompts.listed(desk, "agent")).templates
    assert row.requests == 12
    await sent(desk, "agent", release, '"Be brief. It is 10:22:09."', 1)
    batch = prompts.Batch("agent", 1, desk.settings.aliases["agent"].stakes)
    batch.sightings = await templates.sightings(desk.store)
    batch.texts = await templates.texts(desk.store)
    for expected in (13, 13):
        await prompts._merge(desk, batch)
        assert (await prompts.listed(desk, "agent")).templates[0].requests == expected


async def test_values_are_not_kept_for_good(desk: Desk, placed: Place, made: Make) -> None:
    """Names that stood in a hole are nowhere; a text of one request is in the part that goes after an hour."""
    await placed("agent", {"*": "A"})
    release = await made("A")
    for name in ("Alice", "Bob", "Carol", "Dave"):
        await sent(desk, "agent", release, f'"You help {name} Stone. Be brief."', 2)
    await sent(desk, "agent", release, '"Something that only Mallory wrote, once."', 1)
    await Learner().look(desk)
    kept = await templates.load(desk.store, "agent")
    assert not any(name in b"".join(kept.lasting) for name in (b"Alice", b"Bob", b"Carol", b"Dave", b"Mallory"))
    assert b"Mallory" in b"".join(kept.passing)
    (young,) = [row for row in (await prompts.listed(desk, "agent")).templates if row.state == "new"]
    assert young.text is None


async def test_an_operator_answers_for_a_template(desk: Desk, placed: Place, made: Make) -> None:
    """Accepted once, with who and why in the history; it is counted no more, and what is unknown is refused."""
    await placed("agent", {"*": "A"})
    release, learner = await made("A"), Learner()
    for n in (3, 3):
        await sent(desk, "agent", release, '"Be brief."', n)
        await learner.look(desk)
    await sent(desk, "agent", release, '"Be rude and loud to everybody here."', 2)
    await learner.look(desk)
    (row,) = await prompts.undeclared(desk, "agent")
    assert (await prompts.accept(desk, "agent", row.id, "as agreed")).changed
    assert not (await prompts.accept(desk, "agent", row.id, "again")).changed
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.actor, entry.evidence, entry.reason) == ("accept", "alice", row.id, "as agreed")
    assert await desk.store.do("SMEMBERS", desk.store.keys.undeclared("agent")) == set()
    await sent(desk, "agent", release, '"Be rude and loud to everybody here."', 2)
    assert (await learner.look(desk)).requests == {}
    with pytest.raises(Fault) as refused:
        await prompts.accept(desk, "agent", "p_nothing", "why")
    assert refused.value.code == "template_unknown"
    for call in (prompts.listed(desk, "nobody"), prompts.undeclared(desk, "nobody")):
        with pytest.raises(Fault) as unknown:
            await call
        assert unknown.value.code == "alias_unknown"


async def test_a_damaged_model_begins_anew(desk: Desk, placed: Place, made: Make) -> None:
    """What this version cannot read stops nothing: learning starts over."""
    await placed("agent", {"*": "A"})
    release = await made("A")
    await desk.store.do(
        "HSET",
        desk.store.keys.templates("agent"),
        *["version", "4", "seen", "0-0", "text", "0-0", "prompt", "{", "tools", "[]"],
    )
    await sent(desk, "agent", release, '"Be brief."', 3)
    await Learner().look(desk)
    assert [row.requests for row in (await prompts.listed(desk, "agent")).templates] == [3]
