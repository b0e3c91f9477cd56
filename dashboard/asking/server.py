"""A server of the Model Context Protocol on standard input and output: a model asks, and only reads.

It offers the questions of `tools`, each with its bounds. An answer holds no secret: all of it is masked, and
of an error only what is meant for people is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from mcp.server import MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field

from contracts import ServiceError
from dashboard.asking.tools import MOST, Asked, Questions
from dashboard.data.service_files import ServiceFiles
from dashboard.health.opening import open_data
from monitoring.logs import get_logger, redact, redact_value
from settings import Settings

logger = get_logger(__name__)

NAME: Final = "pulse"
_ABOUT: Final = (
    "Read-only answers about streaming pipelines and people's health analytics. Begin with pipelines_state. "
    "Ids of people are 24 hexadecimal digits, as who_stands_out gives them. Days are calendar days of the "
    "installation's time zone. Nothing can be changed here."
)
_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

User = Annotated[str, Field(pattern="^[0-9a-fA-F]{24}$", description="A person's id.")]
Limit = Annotated[int, Field(ge=1, le=MOST, description="The most that are listed.")]
Days = Annotated[int, Field(ge=1, le=90, description="How many days back, today included.")]
Metric = Annotated[str, Field(max_length=40, description="A metricType, such as steps.")]
Range = Literal["7day", "30day", "90day"]
Answer = dict[str, Any]


def serve(settings: Settings, letters: Sequence[tuple[str, str, bool, Callable[[], Any]]]) -> None:
    """Answer until standard input ends.

    `letters` has of each pipeline the name, the title, whether its files are prefixed, and the letters' desk.
    """
    pipelines = [
        Asked(name, title, _files(settings, name, is_prefixed), opened)
        for name, title, is_prefixed, opened in letters
    ]
    build(Questions(pipelines, open_data(settings), settings.mcp_health_values)).run("stdio")


def _files(settings: Settings, name: str, is_prefixed: bool) -> ServiceFiles:
    setting = f"{name}_interval_seconds" if is_prefixed else "batch_interval_seconds"
    folders = settings.log_directory, settings.metrics_directory
    return ServiceFiles(name if is_prefixed else "", *folders, getattr(settings, setting))


def build(questions: Questions) -> MCPServer[Any]:
    """The server with a tool for each question."""
    server: MCPServer[Any] = MCPServer(NAME, instructions=_ABOUT, log_level="WARNING")

    @server.tool(annotations=_READS)
    def pipelines_state() -> Answer:
        """Whether each pipeline works, when it last did, and how many dead letters wait."""
        return answered(questions.pipelines_state)

    @server.tool(annotations=_READS)
    def who_stands_out(days: Days = 2, limit: Limit = 20) -> Answer:
        """People with unusual days lately, the newest and farthest from their usual first."""
        return answered(lambda: questions.who_stands_out(days, limit))

    @server.tool(annotations=_READS)
    def user_summary(user: User) -> Answer:
        """One person's newest results: trends, gaps, streaks and unusual days."""
        return answered(lambda: questions.user_summary(user))

    @server.tool(annotations=_READS)
    def letters_summary(pipeline: Annotated[str, Field(max_length=40)], limit: Limit = 20) -> Answer:
        """Why records of a pipeline were refused, by reason; never the records."""
        return answered(lambda: questions.letters_summary(pipeline, limit))

    @server.tool(annotations=_READS)
    def explain(user: User, metric: Metric, time_range: Range) -> Answer:
        """Whether a stored result is what its days give, how many days entered, and why others did not."""
        return answered(lambda: questions.explain(user, metric, time_range))

    return server


def answered(ask: Callable[[], Answer]) -> Answer:
    """The answer with secrets masked; a fault is one sentence under `error`."""
    try:
        found: Answer = redact_value(ask())
    except ServiceError as error:
        return {"error": redact(str(error))}
    except Exception as error:  # noqa: BLE001 - the boundary: an exception's text may hold anything
        logger.warning(f"A question could not be answered: {redact(repr(error))[:500]}")
        return {"error": f"It could not be answered ({type(error).__name__}); the server's log says more."}
    return found
