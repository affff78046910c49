# SPDX-License-Identifier: BSD-3-Clause
"""What clients see of a NAT that crashes. All times are seconds of the monotonic clock, which the namespaces share.

    clients.py serve KIND ADDRESS                the other end, until it is killed; KIND: udp, echo, bulk
    clients.py KIND ADDRESS START CRASH END      from START to END, with the crash at CRASH; prints one JSON line
        udp      a probe every millisecond, echoed
        short    100 new connections a second, each one request and one response
        talk     10 connections opened at START, on each a line every 20 ms, echoed
        fresh    50 connections opened in the last 100 ms before CRASH, on each a line every 100 ms, echoed
        bulk     one transfer at 4 MB/s, compared byte for byte
    clients.py fastest ADDRESS SECONDS           bytes a second of one connection, and short connections a second
    clients.py crash CRASH PIDS INTERFACES       at CRASH kills all of PIDS; if INTERFACES are given, it
                                                 is a router: stops forwarding too, and sets them down
    clients.py at CRASH SECONDS COMMAND...       so long after CRASH becomes the COMMAND
"""
import asyncio
import fcntl
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

PORTS = {"udp": 7000, "echo": 7001, "bulk": 7002}
GIVEN_UP_S = 5.0  # a short connection that has taken so long has failed
BULK_GIVEN_UP_S = 30.0  # a transfer in which nothing came for so long
BLOCK = random.Random(7).randbytes(1000003)  # a prime: no repetition falls on a segment's edge
now = time.monotonic


def report(**what):
    print(json.dumps(what), flush=True)


class Waits:
    """The longest waits of one kind that ended before the crash (but not in the first half second), and after it."""

    def __init__(self, start, crash):
        self.settled, self.crash, self.before, self.after = start + 0.5, crash, 0.0, 0.0

    def add(self, since, until):
        if until >= self.crash:
            self.after = max(self.after, until - since)
        elif since >= self.settled:
            self.before = max(self.before, until - since)

    def ms(self):
        return {"before_ms": round(self.before * 1e3, 1), "after_ms": round(self.after * 1e3, 1)}


def serve_udp(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind((address, PORTS["udp"]))
        while True:
            data, peer = end.recvfrom(2048)
            end.sendto(data, peer)


def serve_echo(address):
    async def echo(reader, writer):
        try:
            while line := await reader.readline():
                writer.write(line)
        except OSError:
            pass
        writer.close()

    async def serve():
        server = await asyncio.start_server(echo, address, PORTS["echo"], backlog=1024)
        await server.serve_forever()

    asyncio.run(serve())


def serve_bulk(address):
    def send(end):
        """The request: how many bytes, and how many a second."""
        try:
            size, rate = map(float, end.makefile().readline().split())
            sent, started = 0, now()
            while sent < size:
                at = sent % len(BLOCK)
                sent += end.send(BLOCK[at : at + int(min(65536, size - sent))])
                time.sleep(max(0.0, started + sent / rate - now()))
        except OSError:
            pass
        end.close()

    with socket.create_server((address, PORTS["bulk"])) as server:
        while True:
            threading.Thread(target=send, args=(server.accept()[0],), daemon=True).start()


def udp(address, start, crash, end):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect((address, PORTS["udp"]))
    probe.setblocking(False)
    gaps, echoes, seen, twice, sent, last = Waits(start, crash), Waits(start, crash), set(), 0, 0, start
    total, until, errors = int((end - start) * 1000), end + 1, set()
    while (at := now()) < until and (sent < total or len(seen) < sent):
        due = start + sent / 1000 if sent < total else until
        try:
            if select.select([probe], [], [], max(0.0, due - at))[0]:
                number = struct.unpack("!Q", probe.recv(64)[:8])[0]
                at = now()
                gaps.add(last, at)
                echoes.add(start + number / 1000, at)
                last = at
                twice += number in seen
                seen.add(number)
            while sent < total and start + sent / 1000 <= now():
                sent += 1
                probe.send(struct.pack("!Q", sent - 1) + bytes(56))
        except OSError as problem:  # an ICMP error: the probe that it is about is lost
            errors.add(str(problem))
    gaps.add(last, max(last, end))  # it may never have come back
    echo = {"echo_" + name: value for name, value in echoes.ms().items()}
    report(sent=sent, lost=sent - len(seen), duplicated=twice, errors=sorted(errors), **gaps.ms(), **echo)


async def exchange(reader, writer, line):
    writer.write(line)
    if await reader.readline() != line:
        raise ConnectionError("another answer, or none")


async def short_one(address, waits, errors):
    since, writer = now(), None

    async def fetch():
        nonlocal writer
        reader, writer = await asyncio.open_connection(address, PORTS["echo"])
        await exchange(reader, writer, b"a request of some bytes\n")

    try:
        await asyncio.wait_for(fetch(), GIVEN_UP_S)
    except (OSError, asyncio.TimeoutError) as problem:
        errors.append(type(problem).__name__)
    waits.add(since, now())
    if writer:
        writer.close()


async def short(address, start, crash, end):
    waits, errors, tasks = Waits(start, crash), [], []
    for i in range(int((end - start) * 100)):
        await asyncio.sleep(start + i / 100 - now())
        tasks.append(asyncio.create_task(short_one(address, waits, errors)))
    await asyncio.gather(*tasks)
    report(connections=len(tasks), failed=len(errors), errors=sorted(set(errors)), **waits.ms())


async def session(address, opened, end, every, waits, errors):
    """One connection opened at that time, with a line every so often: if it gets to the end, it has survived."""

    since = opened

    async def talk():
        nonlocal since
        await asyncio.sleep(opened - now())
        reader, writer = await asyncio.open_connection(address, PORTS["echo"])
        number = 0
        while True:
            await exchange(reader, writer, b"line %d\n" % number)
            waits.add(since, now())
            number += 1
            if now() >= end:
                break
            await asyncio.sleep(every)
            since = now()
        writer.close()

    try:
        await asyncio.wait_for(talk(), end + 1 - now())
    except (OSError, asyncio.TimeoutError) as problem:
        errors.append(type(problem).__name__)
        waits.add(since, now())


async def sessions(address, opened, start, crash, end, every):
    waits, errors = Waits(start, crash), []
    await asyncio.gather(*(session(address, at, end, every, waits, errors) for at in opened))
    report(connections=len(opened), survived=len(opened) - len(errors), errors=sorted(set(errors)), **waits.ms())


def fetch_bulk(address, size, rate, take):
    """take(where, data) for all that comes."""
    with socket.create_connection((address, PORTS["bulk"]), BULK_GIVEN_UP_S) as end:
        end.sendall(b"%d %d\n" % (size, rate))
        count = 0
        while data := end.recv(65536):
            take(count, data)
            count += len(data)
    return count


def bulk(address, start, crash, end):
    rate, waits, last, wrong, error, count = 4e6, Waits(start, crash), start, 0, "", 0
    twice = BLOCK + BLOCK
    size = int((end - start) * rate)

    def take(where, data):
        nonlocal last, wrong, count
        waits.add(last, now())
        last = now()
        at = where % len(BLOCK)
        wrong += data != twice[at : at + len(data)]
        count += len(data)

    time.sleep(max(0.0, start - now()))
    try:
        fetch_bulk(address, size, rate, take)
    except OSError as problem:
        error = str(problem)
        waits.add(last, now())
    report(bytes=count, intact=int(count == size and not wrong), error=error, **waits.ms())


async def connections_a_second(address, seconds):
    """As many as eight clients get done."""
    waits, errors, until, done = Waits(0, 0), [], now() + seconds, 0

    async def client():
        nonlocal done
        while now() < until:
            await short_one(address, waits, errors)
            done += 1

    await asyncio.gather(*(client() for _ in range(8)))
    return (done - len(errors)) / seconds


def fastest(address, seconds):
    count, until, settled = 0, now() + seconds + 0.5, now() + 0.5

    def take(_, data):
        nonlocal count
        if now() > until:
            raise TimeoutError
        count += len(data) if now() > settled else 0

    try:
        fetch_bulk(address, 1e12, 1e12, take)
    except TimeoutError:
        pass
    rate = asyncio.run(connections_a_second(address, seconds))
    report(megabytes_a_second=round(count / seconds / 1e6, 1), connections_a_second=round(rate))


def set_down(interface):
    """Set down as ip link set down does, but without starting a program first."""
    SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", interface.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags & ~IFF_UP))


def crash(at, pids, interfaces):
    time.sleep(at - now())
    began = now()
    if interfaces:  # a dead router forwards nothing, at once; its interfaces take some ms to go down
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("0")
    for pid in sorted(pids):  # parents first
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            if not interfaces:  # a router also has scripts, which come and go
                raise
    dead = now()
    for interface in interfaces:
        set_down(interface)
    report(late_ms=round((began - at) * 1e3, 2), dead_ms=round((dead - began) * 1e3, 2),
           down_ms=round((now() - began) * 1e3, 2))


def become(at, command):
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))  # so that it is not late
    except OSError:
        pass
    time.sleep(at - now())
    os.execvp(command[0], command)


def main():
    kind, *words = sys.argv[1:]
    if kind == "serve":
        {"udp": serve_udp, "echo": serve_echo, "bulk": serve_bulk}[words[0]](words[1])
    elif kind == "fastest":
        fastest(words[0], float(words[1]))
    elif kind == "at":
        become(float(words[0]) + float(words[1]), words[2:])
    elif kind == "crash":
        crash(float(words[0]), map(int, words[1].split()), words[2].split())
    else:
        address, (start, at, end) = words[0], map(float, words[1:])
        if now() > start:
            sys.exit(f"it began {now() - start:.1f} s too late: the machine is too busy")
        if kind == "talk":
            asyncio.run(sessions(address, [start] * 10, start, at, end, 0.02))
        elif kind == "fresh":
            asyncio.run(sessions(address, [at - 0.1 + i / 500 for i in range(50)], start, at, end, 0.1))
        elif kind == "short":
            asyncio.run(short(address, start, at, end))
        else:
            {"udp": udp, "bulk": bulk}[kind](address, start, at, end)


main()
