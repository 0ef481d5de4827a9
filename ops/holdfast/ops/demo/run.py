"""The demo from its first line to its last."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from holdfast.ops.demo import example
from holdfast.ops.demo.figures import Figures, count, mistakes
from holdfast.ops.demo.play import Audience, play
from holdfast.ops.demo.screen import GOES_ON, Screen
from holdfast.ops.demo.stage import RealModel, Stage, real_model, stage
from holdfast.ops.demo.witness import STUCK_S
from holdfast.ops.errors import CommandError
from holdfast.ops.history import history
from holdfast.ops.interrupts import run_until_interrupted
from holdfast.ops.settings import load_settings
from holdfast.ops.timeline import tell
from holdfast.ops.trial.projected import projected
from holdfast.ops.trial.sandbox import new_home

# Called with all figures while everything still runs, and with whether the folder stays in the end.
Afterwards = Callable[[Figures, Stage, bool], None]


def run(given_home: Path | None, screen: Screen, afterwards: Afterwards) -> Figures:
    """Run the demo in `given_home`, or in a folder of its own that is removed unless something is wrong.

    Raises CommandError, also if the given folder is not empty.
    """
    model = real_model(load_settings())
    if given_home is not None:
        _make_empty(given_home)
    screen.opening(model)
    home = (given_home or new_home("demo")).resolve()
    stays = True
    try:
        with _running(home, model, screen) as (on_stage, began_s):
            figures = run_until_interrupted(_perform(on_stage, screen, began_s))
            stays = given_home is not None or any(mistakes(figures))
            _show(on_stage, screen, figures)
            afterwards(figures, on_stage, stays)
    except (KeyboardInterrupt, BrokenPipeError, SystemExit):  # somebody has seen enough; rich exits on a closed pipe
        stays = given_home is not None
        raise
    except CommandError as error:
        raise CommandError(str(error), cure=error.cure or f"read the logs in {home}") from error
    finally:
        if not stays:
            shutil.rmtree(home, ignore_errors=True)
    return figures


def _make_empty(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise CommandError(f"{home} is not empty", cure="name a folder that is, or leave --home out")


@contextmanager
def _running(home: Path, model: RealModel | None, screen: Screen) -> Iterator[tuple[Stage, float]]:
    """The stage, and when its start began on the monotonic clock."""
    began_s = time.monotonic()
    with ExitStack() as open_:
        with screen.doing("starting Kafka, the engine, ClickHouse and the outside systems"):
            on_stage = open_.enter_context(stage(home, model))
        on_stage.project.keep = True  # the folder is ours to remove
        try:
            yield on_stage, began_s
        finally:
            with screen.doing("stopping everything"):
                open_.close()


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
