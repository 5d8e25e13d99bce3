"""The chip's wire: its serial protocol, the host's side and an emulated board's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ranvier.hardware.emulator import input_spikes, run, with_weights
from ranvier.hardware.program import INPUTS, NEURONS, SLOTS, ChipProgram, from_words

#: the high nibble of a command's byte
FORWARD, RECURRENT, PARAMETERS, SPIKES, READ_BACK, ENABLE = 0x00, 0x10, 0x20, 0x30, 0x50, 0x60
#: where matrices and words begin: rows of both matrices, columns of the recurrent and the feed-forward one, thresholds
ROW, COLUMN, INPUT, WORD = 6, 5, 2, 4
_ODD = 0x1FFFF  # the threshold of slots that are no neurons, nearly 128
_END = b"\xff\xff\xff"


class SerialPort(Protocol):
    """What is requested of a port, such as pyserial's: `read` returns what there is within its time limit."""

    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...


class LinkError(OSError):
    """The wire lost, changed or delayed bytes.

    >>> issubclass(rv.hardware.LinkError, OSError)
    True
    """


def serial_port(url: str, timeout: float = 1.0) -> Any:
    """pyserial's port of a device, or a URL such as "loop://", at 1 Mbaud; `timeout` in seconds."""
    try:
        import serial
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pyserial is missing; expected it for serial ports: pip install 'ranvier[hardware]'"
        ) from error
    port = serial.serial_for_url(url, baudrate=1_000_000, timeout=timeout, do_not_open=True)
    if url.startswith("loop://"):
        port.buffer_size = 1 << 20  # its queue holds what one side has written until the other reads it
    port.open()
    return port


def encode(program: ChipProgram) -> dict[int, bytes]:
    """The blocks of bytes that load a program, by command: matrices by rows, words of three bytes, low byte first."""
    forward, recurrent = np.zeros((SLOTS, SLOTS), np.int8), np.zeros((SLOTS, SLOTS), np.int8)
    enable = np.zeros((2, SLOTS, SLOTS), np.uint8)
    n, m = program.neurons, program.inputs
    rows, columns, inputs = slice(ROW, ROW + n), slice(COLUMN, COLUMN + n), slice(INPUT, INPUT + m)
    forward[rows, inputs], recurrent[rows, columns] = program.feed_forward, np.asarray(program.recurrent)
    enable[0, rows, columns], enable[1, rows, inputs] = program.learn_recurrent, program.learn_feed_forward
    words = np.zeros((4, SLOTS), np.int64)
    cells = slice(WORD, WORD + n)
    words[0] = _ODD
    words[0, cells] = np.asarray(program.threshold) - np.asarray(program.bias)
    words[1, cells] = program.refractory
    words[1, 0] = program.scale
    words[2, 8] = program.leak - int(_common(program))
    source, target, source_all, target_all = program.windows
    words[3, :3] = source | target << 8, source_all | target_all << 8, program.potentiation | program.depression << 8
    parameters = b"".join(int(w & 0x3FFFF).to_bytes(3, "little") for w in words.ravel())
    return {
        FORWARD: forward.tobytes() + b"\0",
        RECURRENT: recurrent.tobytes() + b"\0",
        PARAMETERS: parameters,
        ENABLE: np.packbits(enable.ravel(), bitorder="little").tobytes() + b"\0",
    }


def _common(program: ChipProgram) -> int:
    """The bias that all neurons share; ValueError for others, which the wire does not carry."""
    bias = np.asarray(program.bias)
    if (bias != bias[0]).any():
        raise ValueError(f"bias differs between neurons ({bias.min()} to {bias.max()} words); expected one for all: "
                         "the wire carries a global leak only")  # fmt: skip
    return int(bias[0])


def decode(blocks: dict[int, bytes], neurons: int = NEURONS, inputs: int = INPUTS) -> ChipProgram:
    """The program that blocks of bytes load, of its first neurons and inputs."""
    matrix = {c: np.frombuffer(blocks[c][:-1], np.int8).reshape(SLOTS, SLOTS) for c in (FORWARD, RECURRENT)}
    triples = np.frombuffer(blocks[PARAMETERS], np.uint8).reshape(4, SLOTS, 3).astype(np.int64)
    words = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
    signed = ((words + 131072) & 262143) - 131072
    enable = np.unpackbits(np.frombuffer(blocks[ENABLE][:-1], np.uint8), bitorder="little").reshape(2, SLOTS, SLOTS)
    rows, columns, places = slice(ROW, ROW + neurons), slice(COLUMN, COLUMN + neurons), slice(INPUT, INPUT + inputs)
    low, high = words[3] & 255, words[3] >> 8 & 255
    return from_words({
        "feed_forward": matrix[FORWARD][rows, places].astype(np.int64),
        "recurrent": matrix[RECURRENT][rows, columns].astype(np.int64) * (1 - np.eye(neurons, dtype=np.int64)),
        "threshold": signed[0, WORD : WORD + neurons], "leak": int(signed[2, 8]),
        "refractory": words[1, WORD : WORD + neurons] & 255, "scale": int(words[1, 0] & 255),
        "learn_recurrent": enable[0, rows, columns].astype(bool),
        "learn_feed_forward": enable[1, rows, places].astype(bool),
        "windows": tuple(int(x) & 127 for x in (low[0], high[0], low[1], high[1])),
        "potentiation": int(low[2]), "depression": int(high[2]),
    })  # fmt: skip


_LENGTHS = {FORWARD: SLOTS * SLOTS + 1, RECURRENT: SLOTS * SLOTS + 1, PARAMETERS: 4 * SLOTS * 3,
            ENABLE: 2 * SLOTS * SLOTS // 8 + 1}  # fmt: skip


def encode_spikes(program: ChipProgram, inputs: np.ndarray) -> bytes:
    """Spikes as the chip reads them: steps since the last one, address in two bytes; silence at the end is given by
    the run's length, which follows the end mark in the emulated board's dialect (two bytes, low byte first)."""
    spikes = input_spikes(program, inputs)
    steps, sources = np.nonzero(spikes)
    if len(spikes) > 0xFFFF:
        raise ValueError(f"the run has {len(spikes)} steps; expected at most 65535: cut it")
    out, last = bytearray(), 0
    for step, source in zip(steps.tolist(), sources.tolist()):
        while step - last > 254:  # a spike of an address that is no input passes the time
            out += bytes((254, 0, 0))
            last += 254
        out += bytes((step - last,)) + (source + INPUT).to_bytes(2, "little")
        last = step
    return bytes(out) + _END + len(spikes).to_bytes(2, "little")


class Link:
    """The host's side of a wire to a chip, or to a `Board`.

    port : with `read` and `write`, such as `serial_port("/dev/ttyUSB1")`.
    serve : called after every block that is written, such as an emulated `board.serve` on the same port.

    >>> from ranvier.hardware.link import serial_port
    >>> port = serial_port("loop://")
    >>> link = rv.hardware.Link(port, serve=rv.hardware.Board(port).serve)  # an emulated chip
    >>> link.load(rv.hardware.ChipProgram(np.array([[2]]), threshold=5.0))
    >>> link.run(np.ones((8, 1), bool))[:, 0].nonzero()[0].tolist()
    [3, 7]
    """

    def __init__(self, port: SerialPort, *, serve: Any = None) -> None:
        self.port, self._serve = port, serve or (lambda: None)
        self.program: ChipProgram | None = None

    def load(self, program: ChipProgram) -> None:
        """Write a program, and read the feed-forward weights back: LinkError, with the first that differs."""
        blocks = encode(program)
        for command, block in blocks.items():
            self._write(bytes((command,)) + block)
        self._write(bytes((READ_BACK,)))
        answer = self._read(SLOTS * SLOTS, "weights read back")
        sent = blocks[FORWARD][:-1]
        if answer != sent:
            k = next(i for i, (a, b) in enumerate(zip(answer, sent)) if a != b)
            raise LinkError(f"weight {k} of {len(sent)} came back as {answer[k]}; expected {sent[k]}: load it again")
        self.program = program

    def run(self, inputs: np.ndarray, *, repeats: int = 1) -> np.ndarray:
        """Output spikes (T, neurons) of input spikes (T, inputs). repeats: above 1, further runs that must agree.

        LinkError for an answer that is too short, begins wrongly, or differs from the last; nothing is read for longer
        than the port's time limit.
        """
        if self.program is None:
            raise ValueError("no program is loaded; expected `load` first")
        answers = []
        for _ in range(max(1, repeats)):
            self._write(bytes((SPIKES,)) + encode_spikes(self.program, inputs))
            count = -(-len(inputs) * NEURONS // 8)
            mark = self._read(1, "the mark before the spikes")
            if mark != b"\xff":
                raise LinkError(f"the answer begins with {mark[0]:#04x}; expected 0xff: reset the chip, and run again")
            answers.append(self._read(count, "spikes"))
        if any(a != answers[0] for a in answers):
            raise LinkError("two runs of the same input differ; expected the same spikes: the wire changes bytes")
        bits = np.unpackbits(np.frombuffer(answers[0], np.uint8), bitorder="little")[: len(inputs) * NEURONS]
        spikes = bits.reshape(len(inputs), NEURONS).astype(bool)
        if spikes[:, self.program.neurons :].any():
            raise LinkError("a neuron that the program does not have spikes; expected none: the wire changes bytes")
        return spikes[:, : self.program.neurons]

    def _write(self, data: bytes) -> None:
        written = self.port.write(data)
        if written is not None and written != len(data):
            raise LinkError(f"{written} bytes of {len(data)} were written; expected all: see the port's write limit")
        self._serve()

    def _read(self, count: int, what: str) -> bytes:
        data = _read(self.port, count)
        if len(data) != count:
            raise LinkError(f"{len(data)} bytes of {count} came ({what}); expected all: see cable, rate and time limit")
        return data


class Board:
    """An emulated NeuroCoreX on a port: it reads commands and answers as the chip does.

    After the mark that ends spikes it expects the run's length, two bytes, when it is to stop. LinkError
    for commands that there are not, blocks that end early and addresses out of range; what is left on the wire is then
    dropped, and the next command read afresh.

    >>> from ranvier.hardware.link import serial_port
    >>> port = serial_port("loop://")
    >>> board = rv.hardware.Board(port)
    >>> rv.hardware.Link(port, serve=board.serve).load(rv.hardware.ChipProgram(np.array([[2]]), threshold=5.0))
    >>> board.program.feed_forward[0, 0].item()
    2
    """

    def __init__(self, port: SerialPort) -> None:
        self.port = port
        self._blocks: dict[int, bytes] = {}
        self.program: ChipProgram | None = None

    def serve(self) -> bool:
        """Answer the next command; False where none comes within the port's time limit."""
        command = self.port.read(1)
        if not command:
            return False
        try:
            self._handle(command[0])
        except LinkError:
            for _ in range(1000):  # what is left of a broken block, up to 4 MB of it
                if not self.port.read(4096):
                    break
            raise
        return True

    def _handle(self, command: int) -> None:
        if command in _LENGTHS:
            block = self._block(_LENGTHS[command], f"of command {command:#04x}")
            if command != PARAMETERS and block[-1] != 0:
                raise LinkError(f"block {command:#04x} ends with {block[-1]:#04x}; expected 0x00: bytes were lost")
            self._blocks[command] = block
            if set(self._blocks) == set(_LENGTHS):
                self.program = decode(self._blocks)
        elif command == READ_BACK:
            self.port.write(self._blocks.get(FORWARD, bytes(SLOTS * SLOTS + 1))[:-1])
        elif command == SPIKES:
            self._run(self._spikes())
        else:
            known = ", ".join(f"{c:#04x}" for c in (*_LENGTHS, SPIKES, READ_BACK))
            raise LinkError(f"command {command:#04x} came; expected one of {known}: bytes were lost or changed")

    def _run(self, inputs: np.ndarray) -> None:
        if self.program is None:
            raise LinkError("spikes came before a program; expected weights, parameters and enable bits first")
        result = run(self.program, inputs)
        if np.any(self.program.learn_feed_forward) or np.any(self.program.learn_recurrent):
            learned = result.program
            self.program = with_weights(self.program, learned.feed_forward, np.asarray(learned.recurrent))
            self._blocks[FORWARD] = encode(learned)[FORWARD]
        bits = np.zeros((len(inputs), NEURONS), np.uint8)
        bits[:, : result.spikes.shape[1]] = result.spikes
        self.port.write(b"\xff" + np.packbits(bits.ravel(), bitorder="little").tobytes())

    def _spikes(self) -> np.ndarray:
        events: list[tuple[int, int]] = []
        step = 0
        while (triple := self._block(3, "of spikes")) != _END:
            step += triple[0]
            address = int.from_bytes(triple[1:], "little")
            if address and not INPUT <= address < INPUT + INPUTS:
                raise LinkError(f"a spike has address {address}; expected {INPUT} to {INPUT + INPUTS - 1}")
            if address:
                events.append((step, address - INPUT))
        steps = int.from_bytes(self._block(2, "of the run's length"), "little")
        if events and events[-1][0] >= steps:
            raise LinkError(f"a spike comes in step {events[-1][0]} of {steps}; expected it within: bytes were changed")
        spikes = np.zeros((steps, INPUTS), bool)
        if events:
            spikes[tuple(np.array(events).T)] = True
        return spikes

    def _block(self, count: int, what: str) -> bytes:
        data = _read(self.port, count)
        if len(data) != count:
            raise LinkError(f"{len(data)} bytes of {count} came ({what}); expected all: bytes were lost")
        return data


def _read(port: SerialPort, count: int) -> bytes:
    """So many bytes, or fewer where none came for the port's time limit."""
    parts: list[bytes] = []
    missing = count
    while missing:
        part = port.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def words(blocks: Iterable[bytes]) -> int:
    """Bytes of a load, which take 10 bits each on the wire: 1 Mbaud carries 100 000 a second."""
    return sum(len(b) + 1 for b in blocks)


__all__ = ["Board", "Link", "LinkError", "SerialPort", "decode", "encode", "encode_spikes", "serial_port", "words"]
