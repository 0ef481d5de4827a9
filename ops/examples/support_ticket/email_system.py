"""A stand-in for an e-mail service: `POST /messages` with an idempotency key.

Run it: `python email_system.py --journal FILE [--port N] [--port-file FILE]`.
"""

from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from holdfast.ops.scripted_model.outside_system import IDEMPOTENCY_KEY, OutsideSystem, problem
from holdfast.ops.scripted_model.serving import parser, serve
from holdfast.schemas import jsontext


class Email(BaseModel):
    to: str = Field(min_length=3, max_length=320)
    subject: str = Field(max_length=1_000)
    body: str = Field(max_length=100_000)


class EmailSystem(OutsideSystem):
    """Accepts messages; what it has accepted counts as sent."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal)
        self.app.router.add_post("/messages", self._send)

    async def _send(self, request: web.Request) -> web.Response:
        try:
            email = Email.model_validate_json(await request.read())
        except ValidationError as exc:
            return problem(422, "invalid", str(exc))
        message_id = f"m-{jsontext.digest(request.headers.get(IDEMPOTENCY_KEY, ''))[:16]}"
        answer = {"message_id": message_id, "to": email.to}
        return await self.accept(request, "message", email.model_dump(), lambda: answer)


if __name__ == "__main__":
    options = parser("A stand-in for an e-mail service.").parse_args()
    serve(lambda: EmailSystem(options.journal).app, port=options.port, port_file=options.port_file)
