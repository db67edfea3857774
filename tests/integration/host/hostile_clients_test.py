"""Thousands of clients that say nothing, or a byte a second, before they authenticate: CLIENTS of them, half of each.

They are evicted at the handshake deadline and not before, cost little memory, and keep no honest client out.
"""
import multiprocessing.connection
import os
import resource
import selectors
import time
import unittest

from ferry_process import TestCase, address_of, dial

CLIENTS = int(os.environ.get("CLIENTS", "1000"))
DEADLINE_S = 10
LIMIT_BYTES = 16 << 10  # of resident memory per client
HONEST_LIMIT_S = 1
EVICTION_LIMIT_S = 5  # beyond the deadline, for the last of them
KEY = b"correct horse"


class HostileClients(TestCase):
    def honest(self, descriptor):
        """How long connecting, authenticating and one round trip take."""
        start = time.monotonic()
        with multiprocessing.connection.Client(address_of(descriptor), authkey=KEY) as client:
            client.send_bytes(b"good")
            self.assertEqual(client.recv_bytes(), b"good")
        return time.monotonic() - start

    def connect(self, descriptor, selector):
        """Connects everybody; each has its own time of arrival, and reads nothing until it is evicted."""
        clients = {}
        for number in range(CLIENTS):
            client = dial(descriptor)
            self.addCleanup(client.close)
            clients[client] = time.monotonic()
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number % 2 == 1)
            if number % 2 == 1:
                client.send(b"\0\0\0\xff")  # announces a message that never comes whole
        return clients

    def drop(self, selector, client, clients, ages):
        ages.append(time.monotonic() - clients.pop(client))
        selector.unregister(client)

    def drain(self, selector, clients, ages, wait_s):
        for key, _ in selector.select(wait_s):
            try:
                if key.fileobj.recv(1 << 12):
                    continue  # its challenge
            except BlockingIOError:
                continue
            except ConnectionResetError:
                pass
            self.drop(selector, key.fileobj, clients, ages)

    def dribble(self, selector, clients, ages):
        for key in list(selector.get_map().values()):
            if not key.data:
                continue
            try:
                key.fileobj.send(b"\0")
            except (ConnectionResetError, BrokenPipeError):
                self.drop(selector, key.fileobj, clients, ages)

    def test_they_are_evicted_at_the_deadline_cost_little_and_keep_nobody_out(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        ferry, (descriptor,) = self.serve({
            "name": "echo", "listen": ["tcp://127.0.0.1:0"], "service": "echo", "framing": "messages",
            "authkey": KEY.decode(), "max_connections": CLIENTS + 100, "handshake_deadline": f"{DEADLINE_S}s"})
        self.honest(descriptor)
        before, ages, honest, grown = ferry.resident_bytes(), [], [], 0
        descriptors = ferry.open_descriptors()
        with selectors.DefaultSelector() as selector:
            clients = self.connect(descriptor, selector)
            next_byte = time.monotonic() + 1
            give_up = time.monotonic() + DEADLINE_S + EVICTION_LIMIT_S
            while clients and time.monotonic() < give_up:
                self.drain(selector, clients, ages, 0.05)
                if time.monotonic() < next_byte:
                    continue
                next_byte += 1
                grown = max(grown, ferry.resident_bytes() - before)
                self.dribble(selector, clients, ages)
                honest.append(self.honest(descriptor))
        self.assertEqual(len(clients), 0, "clients were not evicted")
        print(f"{CLIENTS} hostile clients: {grown / CLIENTS:.0f} bytes each, evicted after {min(ages):.1f} to "
              f"{max(ages):.1f} s; an honest one was served in {max(honest) * 1e3:.1f} ms at most", flush=True)
        self.assertGreater(min(ages), DEADLINE_S - 0.5)
        self.assertLess(max(honest), HONEST_LIMIT_S)
        if not os.environ.get("FERRY_SANITIZE"):
            self.assertLess(grown / CLIENTS, LIMIT_BYTES)
        self.assertLessEqual(ferry.open_descriptors(), descriptors + 1)
        self.assertEqual(ferry.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
