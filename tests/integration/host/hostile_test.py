"""What must not hurt `ferry serve` and `ferry relay`: streams closed under them, a log that nobody reads, floods, a full
table of descriptors, signals at a bad time."""
import multiprocessing.connection
import os
import signal
import socket
import struct
import subprocess
import unittest

from ferry_process import FERRY, LIMIT_S, Lines, TestCase, address_of, dial, receive_all, receive_exactly, run

ECHO = {"name": "echo", "listen": ["tcp://127.0.0.1:0"], "service": "echo"}
DEAD_RELAY = {"name": "relay", "listen": ["tcp://127.0.0.1:0"], "service": "relay", "to": "tcp://127.0.0.1:1"}
KEY = b"correct horse"


def ask(descriptor, question=b"abc"):
    with dial(descriptor) as client:
        client.sendall(question)
        return receive_exactly(client, len(question))


class Streams(TestCase):
    def spawn(self, *arguments, **popen):
        process = subprocess.Popen(arguments, **popen)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_nobody_reading_standard_output_or_the_log_ends_nothing(self):
        for stream in ("stdout", "stderr"):
            with self.subTest(stream):
                config = self.write("app.json", {"services": [ECHO]})
                ferry = self.start("serve", config)
                (descriptor,) = ferry.listening()
                read, write = os.pipe()
                other = self.spawn(FERRY, "serve", self.write("other.json", {"services": [
                    {**ECHO, "listen": ["uds://" + self.path(stream)]}, {**DEAD_RELAY, "listen": [
                        "uds://" + self.path(stream + ".relay")]}]}),
                    **{"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, stream: write})
                os.close(write)
                if stream == "stdout":
                    os.read(read, 1)
                    while not os.path.exists(self.path("stdout.relay")):
                        os.read(read, 100)
                else:
                    other.stdout.readline(), other.stdout.readline(), other.stdout.close()
                os.close(read)
                self.write("other.json", {"services": [ECHO]})
                with dial("uds://" + self.path(stream + ".relay")) as client:  # logs a line
                    self.assertEqual(receive_all(client), b"")
                with dial("uds://" + self.path(stream)) as client:
                    client.sendall(b"a")
                    self.assertEqual(receive_exactly(client, 1), b"a")
                    other.send_signal(signal.SIGHUP)  # prints a readiness line, logs another
                    while os.path.exists(self.path(stream)):
                        client.sendall(b"b")
                        self.assertEqual(receive_exactly(client, 1), b"b")
                other.terminate()
                self.assertEqual(other.wait(LIMIT_S), 0)

    def test_a_log_that_is_not_read_freezes_no_client_and_says_later_what_was_lost(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        with open(write, "wb") as full:
            os.set_blocking(write, False)
            try:
                while True:
                    os.write(write, bytes(4096))
            except BlockingIOError:
                pass
            os.set_blocking(write, True)
            config = self.write("app.json", {"services": [ECHO, DEAD_RELAY]})
            process = self.spawn(FERRY, "serve", config, stdout=subprocess.PIPE, stderr=write)
        lines = Lines(process.stdout)
        echo, relay = (lines.wait_for(r"listening (\S+)", i).group(1) for i in (1, 2))
        with dial(relay) as client:
            with self.assertRaises(ConnectionResetError):
                receive_all(client)
        self.assertEqual(ask(echo), b"abc")
        log = b""
        os.set_blocking(read, False)
        try:
            while part := os.read(read, 1 << 16):
                log += part
        except BlockingIOError:
            pass
        self.assertNotIn(b"turned away", log)
        os.set_blocking(read, True)
        process.send_signal(signal.SIGHUP)
        while b"reloaded" not in log:
            log += os.read(read, 1 << 16)
        self.assertIn(b"1 lines of the log were lost", log)
        process.terminate()
        self.assertEqual(process.wait(LIMIT_S), 0)
        lines.join()
        process.stdout.close()

    def test_standard_streams_closed_at_the_start_are_nobody_elses(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                path = self.path("echo%d.sock" % len(closed))
                config = self.write("app.json", {"services": [{**ECHO, "listen": [f"uds://{path}"]}]})
                process = self.spawn("sh", "-c", f'exec "$0" serve "$1" {closed}', FERRY, config,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while not os.path.exists(path) and process.poll() is None:
                    pass
                while True:  # between bind and listen it refuses
                    try:
                        self.assertEqual(ask(f"uds://{path}"), b"abc")
                        break
                    except ConnectionRefusedError:
                        continue
                for number in range(3):
                    self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")
                process.terminate()
                self.assertEqual(process.wait(LIMIT_S), 0)


class Floods(TestCase):
    def test_clients_of_an_unreachable_target_do_not_flood_the_log(self):
        ferry, (descriptor,) = self.serve(DEAD_RELAY)
        for _ in range(300):
            with self.assertRaises(ConnectionResetError):  # which may come before connect() has returned
                with dial(descriptor) as client:
                    receive_all(client)
        self.assertEqual(ferry.terminate(), 0)
        self.assertLess(len(ferry.log.find("turned away")), 20)

    def test_announced_lengths_cost_no_memory_and_bad_ones_end_the_connection(self):
        ferry, (descriptor,) = self.serve({**ECHO, "framing": "messages"})
        before = ferry.resident_bytes()
        waiting = [self.dial(descriptor) for _ in range(200)]
        for client in waiting:
            client.sendall(struct.pack("!i", 64 << 20) + b"x")
        for header in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xfe", b"\x80\0\0\0", struct.pack("!i", (64 << 20) + 1),
                       b"\xff" * 12, b"\xff\xff\xff\xff\x7f" + b"\xff" * 7):
            client = self.dial(descriptor)
            client.sendall(header)
            with self.assertRaises(ConnectionResetError):
                receive_all(client)
        self.assertEqual(ask(descriptor, b"\0\0\0\3abc"), b"\0\0\0\3abc")
        self.assertLess(ferry.resident_bytes() - before, 8 << 20)

    def test_a_full_table_of_descriptors_costs_no_processor_time_and_passes(self):
        for kind in ("serve", "relay"):
            for limit in (40, 41):  # a relayed client takes two: the last one is met on either side of it
                with self.subTest(kind, limit=limit):
                    self.exhaust(kind, limit)

    def exhaust(self, kind, limit):
        if kind == "serve":
            ferry = self.start("serve", self.write("app.json", {"services": [ECHO]}))
        else:
            target, (to,) = self.serve(ECHO)
            ferry = self.start("relay", "tcp://127.0.0.1:0", to)
        (descriptor,) = ferry.listening()
        subprocess.run(["prlimit", "--pid", str(ferry.pid), f"--nofile={limit}:{limit}"], check=True)
        clients = [dial(descriptor) for _ in range(100)]
        ferry.log.wait_for("Too many open files", occurrence=2)
        spent = self.processor_seconds(ferry)
        seen = len(ferry.log.find("Too many open files"))
        ferry.log.wait_for("Too many open files", occurrence=seen + 1)  # a line a second
        self.assertLess(self.processor_seconds(ferry) - spent, 0.3)
        for client in clients:
            client.close()
        for _ in range(3):
            self.assertEqual(self.ask_until_served(descriptor), b"abc")
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        self.assertFalse(ferry.log.find("threw|cutting"))

    def ask_until_served(self, descriptor):
        while True:  # those still in the backlog go first
            try:
                return ask(descriptor)
            except ConnectionResetError:
                continue

    def processor_seconds(self, ferry):
        with open(f"/proc/{ferry.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Signals(TestCase):
    def test_a_reload_while_draining_does_not_listen_again(self):
        ferry, (descriptor,) = self.serve(ECHO)
        client = self.dial(descriptor)
        client.sendall(b"a")
        receive_exactly(client, 1)
        ferry.signal(signal.SIGTERM)
        ferry.log.wait_for("draining")
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("nothing is reloaded")
        client.close()
        self.assertEqual(ferry.wait(), 0)
        self.assertEqual(len(ferry.output.lines), 1)


class Keys(TestCase):
    def guarded(self, **more):
        return self.serve({**ECHO, "framing": "messages", "authkey": KEY.decode(), **more})

    def test_a_message_right_behind_the_handshake_is_not_lost(self):
        _, (descriptor,) = self.guarded()
        raw = self.dial(descriptor)
        raw.setblocking(True)  # the descriptor's copy shares it
        connection = multiprocessing.connection.Connection(os.dup(raw.fileno()))
        self.addCleanup(connection.close)
        multiprocessing.connection.answer_challenge(connection, KEY)
        # The challenge of our own is answered while the first messages are already under way.
        challenge = b"#CHALLENGE#" + bytes(20)
        raw.sendall(struct.pack("!i", len(challenge)) + challenge)
        connection.recv_bytes(256)
        raw.sendall(b"\0\0\0\x09#WELCOME#" + b"\0\0\0\5early" + b"\0\0\0\0")
        self.assertEqual((connection.recv_bytes(), connection.recv_bytes()), (b"early", b""))

    def test_our_own_challenge_sent_back_proves_nothing(self):
        _, (descriptor,) = self.guarded()
        raw = self.dial(descriptor)
        size, = struct.unpack("!i", receive_exactly(raw, 4))
        challenge = receive_exactly(raw, size)
        raw.sendall(struct.pack("!i", size) + challenge)
        with self.assertRaises((ConnectionResetError, AssertionError)):
            while receive_exactly(raw, 1) is not None:
                pass

    def test_settings_of_a_service_are_in_force(self):
        ferry, (descriptor,) = self.guarded(handshake_deadline="200ms")
        with self.assertRaises(ConnectionResetError):
            receive_all(self.dial(descriptor))
        ferry.log.wait_for("handshake_deadline")
        _, (descriptor,) = self.serve({**ECHO, "framing": "messages", "max_message": "5B"}, name="small.json")
        client = self.dial(descriptor)
        client.sendall(b"\0\0\0\5fives")
        self.assertEqual(receive_exactly(client, 9), b"\0\0\0\5fives")
        client.sendall(b"\0\0\0\6sixths")
        with self.assertRaises(ConnectionResetError):
            receive_all(client)

    def test_those_who_prove_themselves_at_once_are_no_more_than_max_connections(self):
        ferry, (descriptor,) = self.guarded(max_connections=2)
        raw = [self.dial(descriptor) for _ in range(2)]
        for client in raw:
            client.recv(1, socket.MSG_PEEK)  # challenged
            client.setblocking(True)
        first = [multiprocessing.connection.Connection(os.dup(client.fileno())) for client in raw]
        for connection in first:
            self.addCleanup(connection.close)
        # Each of these makes room for itself when it comes; the second of those above still waits.
        keep = multiprocessing.connection.Client(address_of(descriptor), authkey=KEY)
        self.addCleanup(keep.close)
        also = multiprocessing.connection.Client(address_of(descriptor), authkey=KEY)
        self.addCleanup(also.close)
        for connection in (keep, also):
            connection.send_bytes(b"served")
            self.assertEqual(connection.recv_bytes(), b"served")
        with self.assertRaises((ConnectionResetError, EOFError)):
            multiprocessing.connection.answer_challenge(first[1], KEY)
            multiprocessing.connection.deliver_challenge(first[1], KEY)
            first[1].send_bytes(b"too many")
            first[1].recv_bytes()


class ExitCodes(TestCase):
    def test_a_config_that_is_no_readable_regular_file_is_exit_code_3(self):
        os.mkfifo(self.path("fifo"))
        os.symlink("loop", self.path("loop"))
        for name in (self.path("absent"), self.dir, self.path("fifo"), self.path("loop"), "/dev/zero"):
            for verb in (["check"], ["serve"], ["connect", "x", "--config"]):
                with self.subTest(name, verb=verb):
                    self.assertEqual(run(*verb, name).returncode, 3)

    def test_a_descriptor_that_cannot_mean_anything_is_exit_code_2(self):
        for text in ("tcp://127.0.0.1:99999", "tcp://127.0.0.1:1?nodely=true", "tcp://127.0.0.1:1?nodelay=maybe", "nolink"):
            for verb in (["connect", text], ["explain", text], ["relay", "tcp://127.0.0.1:0", text]):
                with self.subTest(text, verb=verb):
                    done = run(*verb)
                    self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main()
