"""Inputs of RPCs at random: bytes, messages, and messages with bits turned over; and what comes of them.

SIFTLINE_FUZZ is how many inputs each RPC gets, thousands for a thorough look (`make fuzz`); the seed is fixed, so a
failure comes back.
"""

import asyncio
import os
import random
import re
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# What a service says of a fingerprint that it has not, also when the gateway passes it on.
_NO_MODEL = re.compile(r"((embed|rerank) service: )?fingerprint: no model")
INPUTS = int(os.environ.get("SIFTLINE_FUZZ", "150"))
ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
}
STRINGS = [
    "",
    "c",
    "c",
    "c",
    "new",
    "year",
    "kind",
    "query",
    "year > 1",
    'kind = "a"',
    'at > "2024-05-01"',
    "place WITHIN 5 km OF (1, 2)",
    "2024-05-01",
    "german",
    "a" * 600,
    "\0",
    "*",
    "-@x:{y}",
    "é中😀",
    "fake",
    "text",
    "passage",
    "BYTES",
]
NUMBERS = [0, 1, 2, 3, 10, 99, 1000, 2**31 - 1]
DOUBLES = [0.0, 1.0, -1.0, 0.5, 1e300, float("nan"), float("inf"), float("-inf")]


def value(dice: random.Random, field: FieldDescriptor) -> Any:
    """A value of the field's type, often one that means something."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return dice.randbytes(dice.randrange(20))
        case FieldDescriptor.CPPTYPE_STRING:
            return dice.choice(STRINGS)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return dice.choice(DOUBLES)
        case FieldDescriptor.CPPTYPE_BOOL:
            return dice.random() < 0.5
        case _:
            return dice.choice(NUMBERS)


def filled(dice: random.Random, message: Message, depth: int = 0) -> Message:
    """The message with fields set at random."""
    for field in message.DESCRIPTOR.fields:
        if dice.random() < 0.4:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if isinstance(message, struct_pb2.Struct):
                message.update({dice.choice(STRINGS): dice.choice([*STRINGS, *DOUBLES, None, True, ["a", 1.0]])})
            elif field.message_type.fields_by_name["value"].message_type is not None:
                filled(dice, getattr(message, field.name)[dice.choice(STRINGS)], depth + 1)
        elif field.message_type is not None:
            holders = [getattr(message, field.name)]
            if field.is_repeated:
                holders = [getattr(message, field.name).add() for _ in range(dice.randrange(4))]
            for holder in holders if depth < 4 else []:
                filled(dice, holder, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(value(dice, field) for _ in range(dice.randrange(4)))
        else:
            setattr(message, field.name, value(dice, field))
    return message


def inputs(method: MethodDescriptor) -> Callable[[random.Random], bytes]:
    def draw(dice: random.Random) -> bytes:
        if dice.random() < 0.1:
            return dice.randbytes(dice.randrange(200))
        data = bytearray(filled(dice, GetMessageClass(method.input_type)()).SerializeToString())
        while data and dice.random() < 0.3:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(data)

    return draw


async def outcome(running: Any) -> tuple[grpc.StatusCode, str]:
    try:
        await running
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def taken(stream: Any) -> None:
    """All that comes out of it."""
    async for _ in stream:
        pass


def caller(channel: grpc.aio.Channel, path: str, method: MethodDescriptor) -> Callable[[Any], Any]:
    """What sends bytes to the method, and can be awaited."""
    if method.server_streaming:
        return lambda data: taken(channel.stream_stream(path)(data, timeout=20))
    call = (channel.stream_unary if method.client_streaming else channel.unary_unary)(path)
    return lambda data: call(data, timeout=20)


async def fuzz(target: str, method: MethodDescriptor, inputs_each: int = INPUTS, service: str = "") -> int:
    """Sends the inputs, eight at a time, and says how many; every answer is one of ALLOWED, in time.

    `service` where it has another name on the wire than in its description.
    """
    path = f"/{service or method.containing_service.full_name}/{method.name}"
    draw, room = inputs(method), asyncio.Semaphore(8)
    async with grpc.aio.insecure_channel(target) as channel:
        call = caller(channel, path, method)

        async def attempt(seed: int) -> None:
            dice = random.Random(f"{path} {seed}")
            data = [draw(dice) for _ in range(dice.randrange(4))] if method.client_streaming else draw(dice)
            async with room:
                code, details = await outcome(call(iter(data) if isinstance(data, list) else data))
            # a model that is asked for by its fingerprint may come with a rollout
            coming = code is grpc.StatusCode.UNAVAILABLE and _NO_MODEL.match(details) is not None
            # the client's own, where the server ends a stream that it still sends to
            ours = method.server_streaming and details == "Internal error from Core"
            assert code in ALLOWED or coming or ours, (path, seed, code, details, data)

        await asyncio.gather(*(attempt(seed) for seed in range(inputs_each)))
    return inputs_each
