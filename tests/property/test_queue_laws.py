"""Laws of the schedule: limits hold, a free slot is used, shares are fair, nothing waits for ever."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from holdfast.streams.core.queues.limit import Bucket, Limit, Rate, Share
from holdfast.streams.core.queues.schedule import Schedule
from holdfast.streams.core.queues.scope import Place, Scope
from holdfast.streams.core.queues.ticket import AGEING_MS, PRIORITY_MAX, Room, Ticket

TENANTS, TOOLS, DEFINITIONS = ("acme", "bcorp", "corp"), ("mail", "search"), ("refund", "report")
SCOPES = (
    *("tool", "tool:mail", "tool:*", "tenant:acme", "tenant:*", "tool:mail,tenant:acme", "tool:*,tenant:*"),
    *("definition:refund", "tool:search,definition:*"),
)
PLACES = st.builds(
    Place,
    tenant=st.sampled_from(TENANTS),
    kind=st.just("tool"),
    name=st.sampled_from(TOOLS),
    definition=st.sampled_from(DEFINITIONS),
)
LIMITS = st.builds(
    Limit,
    max_in_flight=st.integers(0, 3),
    requests=st.none() | st.builds(Rate, count=st.integers(1, 5), per_ms=st.sampled_from([1_000, 60_000])),
    weight=st.integers(1, 3),
    paused=st.integers(0, 9).map(lambda roll: roll == 0),
)
CONTROLS = st.dictionaries(st.sampled_from(SCOPES).map(Scope.parse), LIMITS, max_size=4)
# What happens next: a task comes, time passes, so many slots are used, a call ends.
STEPS = st.lists(
    st.tuples(st.just("offer"), PLACES)
    | st.tuples(st.just("wait"), st.integers(1, 2_000))
    | st.tuples(st.just("fill"), st.just(0))
    | st.tuples(st.just("finish"), st.integers(0, 100)),
    min_size=5,
    max_size=80,
)


@dataclass
class World:
    """A schedule with so many slots, and what it has done."""

    controls: dict[Scope, Limit]
    slots: int
    now_ms: int = 0
    schedule: Schedule[int] = field(default_factory=Schedule)
    waiting: dict[int, Ticket[int]] = field(default_factory=dict)
    running: dict[int, Ticket[int]] = field(default_factory=dict)
    begun: list[tuple[int, Ticket[int]]] = field(default_factory=list)
    count: int = 0
    short_way: bool = False

    def __post_init__(self) -> None:
        self.schedule.controls(self.controls, 0)

    def offer(self, place: Place, priority: int = 5) -> None:
        self.count += 1
        ticket = Ticket(self.count, place, self.count, since_ms=self.now_ms, priority=priority)
        if self.short_way and len(self.running) < self.slots and self.schedule.begin(ticket, self.now_ms):
            self.running[self.count] = ticket
            self.begun.append((self.now_ms, ticket))
            return
        assert self.schedule.offer(ticket, self.now_ms)
        self.waiting[self.count] = ticket

    def fill(self) -> None:
        while len(self.running) < self.slots:
            ticket = self.schedule.next(self.now_ms, Room.ANY)
            if ticket is None:
                break
            self.running[ticket.item] = self.waiting.pop(ticket.item)
            self.begun.append((self.now_ms, ticket))

    def finish(self, index: int) -> None:
        if self.running:
            item = sorted(self.running)[index % len(self.running)]
            del self.running[item]
            self.schedule.finished(item)

    def run(self, steps: list[tuple[str, object]]) -> None:
        for what, value in steps:
            if what == "wait":
                assert isinstance(value, int)
                self.now_ms += value
            elif what == "offer":
                assert isinstance(value, Place)
                self.offer(value)
            elif what == "fill":
                self.fill()
            else:
                assert isinstance(value, int)
                self.finish(value)

    def limits_of(self, place: Place) -> dict[Scope, Limit]:
        """The limits that hold for a task, said in another way than the engine's."""
        found: dict[Scope, tuple[int, Limit]] = {}
        for scope, limit in self.controls.items():
            exact = scope.of(place)
            if exact is not None and (exact not in found or found[exact][0] > str(scope).count("*")):
                found[exact] = str(scope).count("*"), limit
        return {scope: limit for scope, (_, limit) in found.items()}


@given(CONTROLS, STEPS, st.integers(1, 6))
def test_no_limit_is_ever_passed(controls: dict[Scope, Limit], steps: list[tuple[str, object]], slots: int) -> None:
    world = World(controls, slots)
    for step in steps:
        world.run([step])
        in_flight = Counter(s for ticket in world.running.values() for s in world.limits_of(ticket.place))
        for ticket in world.running.values():
            for scope, limit in world.limits_of(ticket.place).items():
                assert not limit.paused
                assert not limit.max_in_flight or in_flight[scope] <= limit.max_in_flight
    for scope, limit in ((s, li) for _, t in world.begun for s, li in world.limits_of(t.place).items()):
        times = [at for at, ticket in world.begun if scope in world.limits_of(ticket.place)]
        if limit.requests is not None:
            for first, from_ms in enumerate(times):
                for last in range(first, len(times)):
                    span_ms = times[last] - from_ms
                    allowed = limit.requests.count + limit.requests.count * span_ms / limit.requests.per_ms
                    assert last - first + 1 <= allowed


@given(CONTROLS, STEPS, st.integers(1, 6))
def test_a_free_slot_is_used_if_any_task_may_begin(
    controls: dict[Scope, Limit], steps: list[tuple[str, object]], slots: int
) -> None:
    world = World(controls, slots)
    world.run([*steps, ("fill", 0)])
    if len(world.running) == slots:
        return
    in_flight = Counter(s for ticket in world.running.values() for s in world.limits_of(ticket.place))
    for ticket in world.waiting.values():
        limits = world.limits_of(ticket.place)
        blocked = [li.paused or 0 < li.max_in_flight <= in_flight[s] for s, li in limits.items()]
        rated = any(li.requests is not None for li in limits.values())
        assert any(blocked) or rated
        if not any(blocked):  # then it is a rate that holds it, and it says until when
            world.schedule.next(world.now_ms, Room.ANY)
            assert world.schedule.wake_at_ms > world.now_ms


@given(CONTROLS, STEPS, st.integers(1, 6))
def test_whatever_is_not_paused_begins_in_the_end(
    controls: dict[Scope, Limit], steps: list[tuple[str, object]], slots: int
) -> None:
    world = World(controls, slots)
    world.run(steps)
    for _ in range(200):
        world.fill()
        world.finish(0)
        world.schedule.next(world.now_ms, Room.NONE)
        world.now_ms += 60_000
    assert all(any(li.paused for li in world.limits_of(t.place).values()) for t in world.waiting.values())


@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_backlogged_tenants_have_their_weights_share_of_the_slots_to_within_one_call(
    slots: int, one: int, other: int, order: Random
) -> None:
    world = World({Scope(tenant="acme"): Limit(weight=one), Scope(tenant="bcorp"): Limit(weight=other)}, slots)
    for _ in range(100):
        world.offer(Place("acme", "tool", "mail", "refund"))
    world.fill()
    for _ in range(100):
        world.offer(Place("bcorp", "tool", "mail", "refund"))
    for _ in range(4):  # every slot is given anew, a few times
        for item in order.sample(sorted(world.running), slots):
            world.finish(sorted(world.running).index(item))
            world.fill()
    begun = Counter(ticket.place.tenant for _, ticket in world.begun[slots:])
    running = Counter(ticket.place.tenant for ticket in world.running.values())
    if slots == 1:
        assert abs(begun["acme"] * other - begun["bcorp"] * one) <= one + other
    assert abs(running["acme"] * other - running["bcorp"] * one) <= max(one, other)


@given(st.integers(2, 8), st.integers(1, 1_000))
def test_who_has_nothing_in_flight_is_next_however_many_others_wait(slots: int, noisy: int) -> None:
    world = World({}, slots)
    for _ in range(noisy):
        world.offer(Place("acme", "tool", "mail", "refund"))
    world.fill()
    world.offer(Place("bcorp", "tool", "mail", "refund"))
    world.finish(0)
    world.fill()
    assert world.begun[-1][1].place.tenant == "bcorp"


@given(st.lists(st.tuples(st.integers(0, AGEING_MS * 12), st.integers(0, PRIORITY_MAX)), min_size=2, max_size=30))
def test_a_task_is_only_passed_by_what_comes_within_the_time_that_priorities_are_worth(
    comings: list[tuple[int, int]],
) -> None:
    world = World({}, slots=1)
    place = Place("acme", "tool", "mail", "refund")
    for at_ms, priority in sorted(comings):
        world.now_ms = at_ms
        world.offer(place, priority)
    for _ in comings:
        world.fill()
        world.finish(0)
    begun = [ticket for _, ticket in world.begun]
    for first, second in ((a, b) for i, a in enumerate(begun) for b in begun[i + 1 :]):
        assert first.since_ms - second.since_ms <= (first.priority - second.priority) * AGEING_MS


@given(CONTROLS, STEPS, st.integers(1, 6))
def test_the_same_steps_lead_to_the_same_order(
    controls: dict[Scope, Limit], steps: list[tuple[str, object]], slots: int
) -> None:
    worlds = [World(dict(reversed(controls.items())) if turn else controls, slots) for turn in range(2)]
    for world in worlds:
        world.run([*steps, ("fill", 0)])
    assert [(at, t.item) for at, t in worlds[0].begun] == [(at, t.item) for at, t in worlds[1].begun]


@given(CONTROLS, STEPS, st.integers(1, 6))
def test_the_short_way_leads_to_the_same_order(
    controls: dict[Scope, Limit], steps: list[tuple[str, object]], slots: int
) -> None:
    worlds = [World(controls, slots, short_way=short_way) for short_way in (False, True)]
    for step in [*steps, ("fill", 0)]:
        for world in worlds:
            world.run([step, ("fill", 0)])
    assert [(at, t.item) for at, t in worlds[0].begun] == [(at, t.item) for at, t in worlds[1].begun]


@given(st.integers(1, 12), st.integers(1, 1_000), st.randoms(use_true_random=False))
def test_the_shares_of_all_executors_are_the_limit_and_the_first_partition_has_a_part_of_each(
    partitions: int, limit: int, order: Random
) -> None:
    owners = [order.randrange(3) for _ in range(partitions)]
    owned = [frozenset(p for p, owner in enumerate(owners) if owner == who) for who in range(3)]
    shares = [Share(partitions, mine, mine) for mine in owned]
    assert sum(share.of(limit) for share in shares) == limit
    assert shares[owners[0]].of(limit) >= 1


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 80)), max_size=40))
def test_a_bucket_never_gives_more_than_one_filling_and_its_rate_and_the_last_that_was_dearer(
    count: int, takings: list[tuple[int, int]]
) -> None:
    bucket, now_ms, taken, dearest = Bucket(count, 1_000, 0), 0, 0, 0
    for after_ms, amount in takings:
        now_ms += after_ms
        bucket.refill(now_ms)
        if bucket.ready_at_ms(amount) <= now_ms:
            bucket.take(amount)
            taken, dearest = taken + amount, max(dearest, amount - count)
        else:
            bucket.refill(bucket.ready_at_ms(amount))
            now_ms = bucket.at_ms
            assert bucket.ready_at_ms(amount) <= now_ms  # it keeps its word
    assert taken <= count * now_ms / 1_000 + max(dearest, 0)
