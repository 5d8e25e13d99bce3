"""The wire: what it carries, and what becomes of bytes that are lost, changed or late."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.hardware import Board, ChipProgram, Link, LinkError, run
from ranvier.hardware.link import decode, encode, encode_spikes, serial_port


class Wire:
    """Two ends in one process: what one writes the other reads; `change(bytes)` is what the wire makes of it."""

    def __init__(self, change=lambda data: data):
        self.queues, self.change = (bytearray(), bytearray()), change
        self.host, self.board = self.End(self, 0), self.End(self, 1)

    class End:
        def __init__(self, wire, side):
            self.wire, self.side = wire, side

        def write(self, data):
            self.wire.queues[1 - self.side].extend(self.wire.change(bytes(data)) if self.side == 0 else data)
            return len(data)

        def read(self, size=1):
            queue = self.wire.queues[self.side]
            data = bytes(queue[:size])
            del queue[:size]
            return data


def example(rng=None, learn=False, n=12, m=9) -> tuple[ChipProgram, np.ndarray]:
    rng = rng or np.random.default_rng(0)
    program = ChipProgram(rng.integers(-3, 9, (n, m)), rng.integers(-3, 4, (n, n)) * (1 - np.eye(n, dtype=int)),
                      threshold=rng.uniform(5, 60, n), leak=0.125, refractory=rng.integers(0, 3, n), scale=2,
                      learn_feed_forward=learn and rng.random((n, m)) < 0.5, windows=(5, 6, 7, 8),
                      potentiation=2)  # fmt: skip
    return program, rng.random((50, m)) < 0.2


def connect(change=lambda data: data) -> tuple[Link, Board]:
    wire = Wire(change)
    board = Board(wire.board)
    return Link(wire.host, serve=board.serve), board


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(0, 94))
def test_a_program_goes_through_bytes(seed, n, m):
    rng = np.random.default_rng(seed)
    learn = rng.random((n, n)) < 0.5
    program = ChipProgram(rng.integers(-128, 128, (n, m)), rng.integers(-128, 128, (n, n)) * (1 - np.eye(n, dtype=int)),
                      threshold=rng.uniform(-128, 127, n), leak=rng.uniform(-9, 9), learn_recurrent=learn,
                      refractory=rng.integers(0, 256, n), scale=int(rng.integers(256)))  # fmt: skip
    assert decode(encode(program), n, m).same_as(program)


def test_bytes_are_where_the_chip_has_them():
    """Row 6, column 5 or input + 2; thresholds from slot 4, 100.0 as 0x19000; the scale in the refractory word of slot
    0, the leak in slot 8; blocks of 9216 and a dummy byte; spikes as (relative step, address), ended by three 0xff."""
    program = ChipProgram(np.array([[7, -1]]), threshold=100.0, leak=0.5, refractory=4, scale=3)
    blocks = encode(program)
    assert len(blocks[0x00]) == len(blocks[0x10]) == 9217
    assert len(blocks[0x60]) == 2305
    assert blocks[0x00][6 * 96 + 2 : 6 * 96 + 4] == bytes((7, 255))
    words = blocks[0x20]
    assert len(words) == 4 * 96 * 3
    assert words[12:15] == bytes((0x00, 0x90, 0x01))
    assert words[15:18] == bytes((0xFF, 0xFF, 0x01))
    assert words[96 * 3 : 96 * 3 + 3] == bytes((3, 0, 0))
    assert words[96 * 3 + 12 : 96 * 3 + 15] == bytes((4, 0, 0))
    assert words[2 * 96 * 3 + 24 : 2 * 96 * 3 + 27] == bytes((0, 2, 0))
    x = np.zeros((300, 2))
    x[1, 0] = x[1, 1] = x[299, 0] = 1
    assert encode_spikes(program, x) == bytes((1, 2, 0, 0, 3, 0, 254, 0, 0, 44, 2, 0, 255, 255, 255)) + bytes((44, 1))


@pytest.mark.parametrize("learn", [False, True])
def test_over_the_wire_it_is_the_same_network(learn):
    program, x = example(learn=learn)
    link, board = connect()
    link.load(program)
    assert board.program.threshold[: program.neurons].tolist() == program.threshold.tolist()
    expected = run(program, x)
    assert expected.spikes.mean() > 0.05
    np.testing.assert_array_equal(link.run(x), expected.spikes)
    if learn:  # the board keeps what it learned
        np.testing.assert_array_equal(board.program.feed_forward[:12, :9], expected.program.feed_forward)
        assert not expected.program.same_as(program)


def test_through_pyserial_and_through_a_pseudo_terminal():
    serial = pytest.importorskip("serial")
    program, x = example()
    port = serial_port("loop://", timeout=0.2)
    link = Link(port, serve=Board(port).serve)
    link.load(program)
    np.testing.assert_array_equal(link.run(x, repeats=2), run(program, x).spikes)
    port.close()

    master, slave = os.openpty()
    import tty

    tty.setraw(master)

    class Raw:
        def read(self, size=1):
            return os.read(master, size)

        def write(self, data):
            return os.write(master, data)

    with serial.Serial(os.ttyname(slave), timeout=5) as device:
        board, errors = Board(Raw()), []

        def serve():
            try:
                for _ in range(6):  # four blocks, the read-back, one run
                    board.serve()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        link = Link(device)
        link.load(program)
        np.testing.assert_array_equal(link.run(x), run(program, x).spikes)
        thread.join(5)
        assert not errors
    os.close(master)
    os.close(slave)


@settings(max_examples=40)
@given(st.data())
def test_lost_bytes_are_noticed(data):
    """Wherever a load is cut, host or board says so, and nothing hangs."""
    program, x = example()
    link, _ = connect()
    total = sum(len(b) + 1 for b in encode(program).values()) + 1
    cut = data.draw(st.integers(0, total - 1))
    passed = 0

    def lose(block: bytes) -> bytes:
        nonlocal passed
        keep = max(0, min(len(block), cut - passed))
        passed += len(block)
        return block[:keep]

    link, _ = connect(lose)
    with pytest.raises(LinkError, match="expected"):
        link.load(program)
        link.run(x)


@settings(max_examples=40)
@given(st.integers(0, 9216), st.integers(1, 255))
def test_changed_weights_are_noticed(place, flip):
    """Feed-forward weights come back; each byte is compared."""
    program, _ = example()

    def change(block: bytes) -> bytes:
        if len(block) == 9218 and block[0] == 0:
            block = bytearray(block)
            block[place + 1] ^= flip
        return bytes(block)

    with pytest.raises(LinkError, match=r"expected"):
        connect(change)[0].load(program)


def test_answers_that_are_wrong():
    program, x = example()
    link, board = connect()
    link.load(program)
    for answer, words in ((b"", "0 bytes of 1"), (b"\x7f" + bytes(600), "begins with 0x7f"),
                          (b"\xff" + bytes(9), "9 bytes of"),
                          (b"\xff" + bytes(5) + b"\x80" + bytes(557), "does not have")):  # fmt: skip
        link._serve = lambda answer=answer: (link.port.wire.queues[1].clear(), board.port.write(answer))
        with pytest.raises(LinkError, match=words):
            link.run(x)
        link.port.wire.queues[0].clear()
    answers = iter((bytes(563), b"\x01" + bytes(562)))
    link._serve = lambda: board.port.write(b"\xff" + next(answers))
    with pytest.raises(LinkError, match="two runs"):
        link.run(x, repeats=2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x90", "command 0x90"), (b"\x30\xff\xff\xff\x01\x00", "before a program"),
        (b"\x30\x01\x63\x00\xff\xff\xff\x05\x00", "address 99"),
        (b"\x30\x09\x02\x00\xff\xff\xff\x05\x00", "step 9 of 5"),
        (b"\x30\x01\x02", "2 bytes of 3"), (b"\x00" + b"\x01" * 9217, "ends with 0x01"),
    ],
)  # fmt: skip
def test_a_board_refuses_what_it_cannot_be_told(data, words):
    wire = Wire()
    board = Board(wire.board)
    wire.host.write(data)
    with pytest.raises(LinkError, match=words):
        board.serve()
    assert not wire.queues[1]  # what was left is dropped
    assert board.serve() is False


def test_nothing_is_loaded_and_nothing_is_there():
    link, _ = connect()
    with pytest.raises(ValueError, match="no program is loaded"):
        link.run(np.zeros((1, 1)))
    program = ChipProgram(np.zeros((2, 2)), bias=[0.0, 1.0])
    with pytest.raises(ValueError, match="bias differs"):
        link.load(program)
