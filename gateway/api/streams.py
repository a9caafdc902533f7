"""Streams that answer each message: many at a time, in order, waiting for room where a single call is refused."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from gateway.deadline import Deadline
from gateway.patience import patiently
from serving.decoding import Undecodable
from serving.errors import Internal, SiftlineError
from serving.server import abort

log = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")

_AT_A_TIME = 64  # messages of one stream being answered
_PATIENCE_S = 20.0
_LIFE_S = 3600.0


async def answered(
    requests: AsyncIterator[Q], context: grpc.aio.ServicerContext, answer: Callable[[Q, Any], Awaitable[A]]
) -> AsyncIterator[A]:
    """`answer` of each message. The first that is refused ends the stream with its error."""
    waiting: deque[asyncio.Task[A]] = deque()
    deadline = Deadline.of(context, _LIFE_S)
    try:
        async for request in requests:
            waiting.append(asyncio.create_task(_patient(answer, request, context, deadline)))
            while len(waiting) >= _AT_A_TIME or (waiting and waiting[0].done()):
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    except SiftlineError as error:
        await abort(context, error)
    except DecodeError as error:
        await abort(context, Undecodable(str(error)).refuse())
    except (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit):
        raise
    except Exception:
        log.exception("unexpected error in a stream")
        await abort(context, Internal("internal error"))
    finally:
        for task in waiting:
            task.cancel()


async def _patient(answer: Callable[[Q, Any], Awaitable[A]], request: Q, context: Any, deadline: Deadline) -> A:
    async def attempt() -> A:
        return await answer(request, context)

    return await patiently(attempt, _PATIENCE_S, deadline)
