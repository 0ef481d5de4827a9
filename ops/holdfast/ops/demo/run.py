"""The demo from its first line to its last."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from holdfast.ops.demo import example
from holdfast.ops.demo.figures import Figures, count, mistakes
from holdfast.ops.demo.play import Audience, play
from holdfast.ops.demo.screen import GOES_ON, Screen
from holdfast.ops.demo.stage import Stage, real_model, stage
from holdfast.ops.demo.witness import STUCK_S
from holdfast.ops.errors import CommandError
from holdfast.ops.history import history
from holdfast.ops.settings import load_settings
from holdfast.ops.timeline import tell
from holdfast.ops.trial.projected import projected
from holdfast.ops.trial.sandbox import new_home

# Called with all figures while everything still runs.
Afterwards = Callable[[Figures, Stage], None]


def run(given_home: Path | None, screen: Screen, afterwards: Afterwards) -> Figures:
    """Run the demo in `given_home`, or in a folder of its own that is removed unless something is wrong.

    Raises CommandError, also if the given folder is not empty.
    """
    model = real_model(load_settings())
    screen.opening(scripted=model is None)
    began_s = time.monotonic()
    with _home(given_home) as home, ExitStack() as open_:
        with screen.doing("starting Kafka, the engine, ClickHouse and the outside systems"):
            on_stage = open_.enter_context(stage(home, model))
        figures = asyncio.run(_perform(on_stage, screen, began_s))
        on_stage.project.keep = given_home is not None or any(mistakes(figures))
        _show(on_stage, screen, figures)
        afterwards(figures, on_stage)
        with screen.doing("stopping"):
            open_.close()
    return figures


@contextmanager
def _home(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        if any(given.iterdir()):
            raise CommandError(f"{given} is not empty", cure="name a folder that is, or leave --home out")
    home = (given or new_home("demo")).resolve()
    try:
        yield home
    except KeyboardInterrupt:
        if given is None:
            shutil.rmtree(home, ignore_errors=True)
        raise
    except CommandError as error:
        raise CommandError(str(error), cure=error.cure or f"the logs are in {home}/logs") from error


async def _perform(on_stage: Stage, screen: Screen, began_s: float) -> Figures:
    with screen.doing(GOES_ON):
        audience = Audience(event=screen.event, killed=screen.killed, went_on=screen.went_on)
        outcome = await play(on_stage, audience)
    with screen.doing("counting"):
        if not await projected(on_stage.project, timeout_s=STUCK_S):
            raise CommandError(f"ClickHouse did not have the whole journal within {STUCK_S:.0f} s of its end")
        return await count(on_stage, outcome, began_s)


def _show(on_stage: Stage, screen: Screen, figures: Figures) -> None:
    project = on_stage.project
    told = tell(history(project.clickhouse, project.settings.tenant, example.WORKFLOW_ID))
    assert told is not None, "the figures were counted, so there are events"
    screen.timeline(told)
    screen.sums(figures)
