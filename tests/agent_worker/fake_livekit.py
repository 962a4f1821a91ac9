"""LiveKit's wire as the worker sees it: the API's answers, the socket at which workers register, and rooms that are never entered."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web
from livekit import api
from livekit.protocol import agent, models


class FakeLiveKit:
    """`refuses` makes every API request answer 401; `deaf` lets nobody register. A dial rings until `busy` is set."""

    def __init__(self, *, refuses: bool = False, deaf: bool = False) -> None:
        self.refuses = refuses
        self.deaf = deaf
        self.registered: list[str] = []
        self.loads: list[float] = []
        self.answers: dict[str, bool] = {}
        self.ended: dict[str, str] = {}
        self._offered: dict[str, agent.Job] = {}
        self._worker: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.busy = asyncio.Event()

    async def offer(self, room: str, metadata: dict[str, str] | None = None) -> str:
        """Ask the worker whether it takes a job in this room; the job's id."""
        job = agent.Job(
            id=f"AJ_{uuid.uuid4().hex[:8]}",
            dispatch_id="AD_test",
            type=agent.JobType.JT_ROOM,
            agent_name="chamada",
            metadata=json.dumps(metadata or {}),
            room=models.Room(name=room, sid="RM_test"),
        )
        self._offered[job.id] = job
        await self._send(agent.ServerMessage(availability=agent.AvailabilityRequest(job=job)))
        return job.id

    async def hang_up_on_the_worker(self) -> None:
        assert self._worker is not None
        await self._worker.close()

    async def _send(self, message: agent.ServerMessage) -> None:
        assert self._worker is not None
        await self._worker.send_bytes(message.SerializeToString())

    async def _rooms(self, _request: web.Request) -> web.Response:
        if self.refuses:
            return web.json_response({"code": "unauthenticated", "msg": "invalid API key"}, status=401)
        return web.Response(body=api.ListRoomsResponse().SerializeToString(), content_type="application/protobuf")

    async def _dial(self, _request: web.Request) -> web.Response:
        await self.busy.wait()
        meta = {"sip_status_code": "486", "sip_status": "Busy Here"}
        return web.json_response({"code": "resource_exhausted", "msg": "busy", "meta": meta}, status=429)

    async def _delete(self, _request: web.Request) -> web.Response:
        return web.Response(body=api.DeleteRoomResponse().SerializeToString(), content_type="application/protobuf")

    async def _room(self, _request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def _agent(self, request: web.Request) -> web.StreamResponse:
        if self.deaf:
            return web.Response(status=503)
        socket = self._worker = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.BINARY:
                await self._hear(agent.WorkerMessage.FromString(message.data))
        return socket

    async def _hear(self, message: agent.WorkerMessage) -> None:
        match message.WhichOneof("message"):
            case "register":
                self.registered.append(message.register.agent_name)
                answer = agent.RegisterWorkerResponse(worker_id="AW_test", server_info=models.ServerInfo(protocol=16))
                await self._send(agent.ServerMessage(register=answer))
            case "update_worker":
                self.loads.append(round(message.update_worker.load, 2))
            case "availability":
                self.answers[message.availability.job_id] = message.availability.available
                if message.availability.available:
                    job = self._offered[message.availability.job_id]
                    await self._send(agent.ServerMessage(assignment=agent.JobAssignment(job=job, token="token", url=self.url)))
            case "update_job":
                self.ended[message.update_job.job_id] = agent.JobStatus.Name(message.update_job.status)

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/agent", self._agent),
                web.post("/twirp/livekit.RoomService/ListRooms", self._rooms),
                web.post("/twirp/livekit.RoomService/DeleteRoom", self._delete),
                web.post("/twirp/livekit.SIP/CreateSIPParticipant", self._dial),
                web.get("/rtc{rest:.*}", self._room),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


@asynccontextmanager
async def fake_livekit(*, refuses: bool = False, deaf: bool = False) -> AsyncIterator[FakeLiveKit]:
    server = FakeLiveKit(refuses=refuses, deaf=deaf)
    await server.start()
    try:
        yield server
    finally:
        await asyncio.wait_for(server.stop(), 10)
