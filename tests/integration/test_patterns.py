"""The workflow patterns once more on a real broker, all but those for which time would have to be moved."""

from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from support.kafka_town import Engine, KafkaTown
from support.orchestrators import PARTITIONS, NewWorker
from support.patterns import CHILD, PLAYED, Steps
from support.scenario import define

MOVE_TIME = frozenset({"Cancel multiple instance activity"})


@pytest.fixture
def engine(broker: Broker, topics: str, worker: NewWorker) -> Iterator[Engine]:
    with Engine(broker.bootstrap, topics, PARTITIONS) as engine:
        engine.publish([CHILD])
        worker()
        yield engine


def test_the_patterns_work_on_a_broker_as_they_do_in_memory(engine: Engine) -> None:
    """One worker for all: each play has workflows of a tenant of its own."""
    played = 0

    def running(steps: Steps, value: Any = None, **more: Any) -> KafkaTown:
        nonlocal played
        played += 1
        definition = define(steps, children={"child": CHILD.hash}, **more)
        engine.publish([definition])
        town = KafkaTown({definition.hash: definition}, engine=engine, tenant=f"play-{played}")
        town.start(definition, value=value)
        return town

    for pattern in PLAYED:
        assert pattern.play is not None
        if pattern.name not in MOVE_TIME:
            pattern.play(running)
    assert played >= len(PLAYED) - len(MOVE_TIME)
