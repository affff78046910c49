# SPDX-License-Identifier: BSD-3-Clause
"""What clients see of a chain: each prints one JSON line of what it did, what failed, and its longest stall.

    clients.py download URL SHA256 SECONDS   one large file, again and again until then
    clients.py short URL SECONDS RATE        that many new connections a second, each fetching a small page
    clients.py blast HOST SECONDS RATE       that many small UDP packets a second beside the others; 0: as many as it can
    clients.py talk SECONDS COMMAND...       an interactive session: a line every 20 ms, echoed by COMMAND
"""
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request


def report(**what):
    print(json.dumps(what), flush=True)


def download(url, expected, seconds):
    stall, count, files, error, until = 0.0, 0, 0, "", time.monotonic() + seconds
    while not error and (files == 0 or time.monotonic() < until):
        digest, last = hashlib.sha256(), time.monotonic()
        try:
            with urllib.request.urlopen(url, timeout=30) as page:
                while data := page.read(16384):
                    now = time.monotonic()
                    stall, last = max(stall, now - last), now
                    digest.update(data)
                    count += len(data)
            if digest.hexdigest() != expected:
                error = "the checksum differs"
        except OSError as problem:
            error = str(problem)
        files += 1
    report(client="download", files=files, bytes=count, error=error, stall_ms=round(stall * 1e3, 1))


def short(url, seconds, rate):
    times, errors, lock = [], [], threading.Lock()

    def fetch():
        started = time.monotonic()
        try:
            with urllib.request.urlopen(url, timeout=20) as page:
                page.read()
            with lock:
                times.append(time.monotonic() - started)
        except OSError as problem:
            with lock:
                errors.append(str(problem))

    threads, made, started = [], 0, time.monotonic()
    for i in range(int(seconds * rate)):
        time.sleep(max(0, started + i / rate - time.monotonic()))
        threads = [thread for thread in threads if thread.is_alive()]
        threads.append(threading.Thread(target=fetch))
        threads[-1].start()
        made += 1
    for thread in threads:
        thread.join()
    times.sort()
    report(client="short", connections=made, error="; ".join(sorted(set(errors))), failed=len(errors),
           p50_ms=round(times[len(times) // 2] * 1e3, 1) if times else 0,
           stall_ms=round(max(times, default=0) * 1e3, 1))


def blast(host, seconds, rate):
    sockets, sent, refused, started = [], 0, 0, time.monotonic()
    for _ in range(16):
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].connect((host, 9))
    while (now := time.monotonic() - started) < seconds:
        due = int(now * rate) - sent if rate > 0 else 64
        for number in range(due):
            try:
                sockets[number % 16].send(b"x" * 22)
            except OSError:
                refused += 1  # nobody listens there, and says so now and then
        sent += max(0, due)
        if rate > 0:
            time.sleep(0.0005)
    report(client="blast", sent=sent, rate=round(sent / seconds), refused=refused)


def talk(seconds, command):
    session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    stall, lines, error, until = 0.0, 0, "", time.monotonic() + seconds
    while time.monotonic() < until and not error:
        asked = time.monotonic()
        try:
            session.stdin.write(f"line {lines}\n")
            session.stdin.flush()
            answer = session.stdout.readline()
        except OSError as problem:
            answer, error = "", str(problem)
        if answer != f"line {lines}\n" and not error:
            error = f"line {lines} came back as {answer!r}"
        if lines > 0:  # the first waits for the login
            stall = max(stall, time.monotonic() - asked)
        lines += 1
        time.sleep(0.02)
    session.stdin.close()
    session.wait()
    report(client="talk", lines=lines, error=error, stall_ms=round(stall * 1e3, 1))


def main():
    what = sys.argv[1]
    if what == "download":
        download(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    elif what == "short":
        short(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    elif what == "blast":
        blast(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    else:
        talk(float(sys.argv[2]), sys.argv[3:])


main()
