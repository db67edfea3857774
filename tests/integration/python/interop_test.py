"""Python's multiprocessing.connection against Ferry channels: interop_test.py CHANNEL_PEER [TEST…]"""
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from multiprocessing.connection import Client, Listener

import modern_handshake

PEER = os.path.abspath(sys.argv.pop(1))
TIMEOUT_S = 60
KEY = b"peekaboo"
REFUSED = 3  # channel_peer's exit status when the handshake fails
SIZES = (0, 1, 16384, 16385, 65536, 16 << 20)  # CPython writes header and payload apart above 16384


def message_of(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def to_address(descriptor):
    """A descriptor as multiprocessing takes it."""
    tcp = re.fullmatch(r"tcp://([\d.]+):(\d+)", descriptor)
    return (tcp[1], int(tcp[2])) if tcp else descriptor.removeprefix("uds://")


def to_descriptor(address):
    return f"uds://{address}" if isinstance(address, str) else f"tcp://{address[0]}:{address[1]}"


class PeerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ferry-interop-")
        self.addCleanup(self.folder.cleanup)

    def start(self, *arguments):
        peer = subprocess.Popen([PEER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(peer.stderr.close)
        self.addCleanup(peer.stdout.close)
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)
        return peer

    def serve(self, descriptor, key):
        peer = self.start("serve", descriptor, key)
        line = peer.stdout.readline()
        self.assertRegex(line, r"^listening ", peer.stderr.read() if not line else "")
        return peer, to_address(line.split()[1])

    def assert_exits(self, peer, status):
        self.assertEqual(peer.wait(TIMEOUT_S), status, peer.stderr.read())

    def descriptors(self):
        return f"uds://{self.folder.name}/listener.sock", "tcp://127.0.0.1:0"

    def listeners(self, key):
        for address in (f"{self.folder.name}/python.sock", ("127.0.0.1", 0)):
            with Listener(address, authkey=key) as listener:
                yield listener


class Interop(PeerTest):
    def test_python_client_with_a_ferry_listener(self):
        for descriptor in self.descriptors():
            for key in (None, KEY):
                with self.subTest(descriptor=descriptor, key=key):
                    peer, address = self.serve(descriptor, key.decode() if key else "-")
                    with Client(address, authkey=key) as connection:
                        for size in SIZES:
                            connection.send_bytes(message_of(size))
                            self.assertEqual(connection.recv_bytes(), message_of(size))
                        connection.send({"pickled": [1, 2.5, "three"]})
                        self.assertEqual(connection.recv(), {"pickled": [1, 2.5, "three"]})
                    self.assert_exits(peer, 0)

    def test_ferry_client_with_a_python_listener(self):
        for key in (None, KEY):
            for listener in self.listeners(key):
                with self.subTest(address=listener.address, key=key):
                    peer = self.start("call", to_descriptor(listener.address), key.decode() if key else "-",
                                      *map(str, SIZES))
                    with listener.accept() as connection:
                        for _ in SIZES:
                            connection.send_bytes(connection.recv_bytes())
                        with self.assertRaises(EOFError):
                            connection.recv_bytes()
                    self.assert_exits(peer, 0)

    def test_a_python_client_with_the_wrong_key_is_refused(self):
        peer, address = self.serve(self.descriptors()[0], KEY.decode())
        with self.assertRaises(multiprocessing.AuthenticationError):
            Client(address, authkey=b"wrong")
        self.assert_exits(peer, REFUSED)

    def test_a_ferry_client_with_the_wrong_key_is_refused(self):
        for listener in self.listeners(KEY):
            peer = self.start("call", to_descriptor(listener.address), "wrong", "1")
            with self.assertRaises(multiprocessing.AuthenticationError):
                listener.accept()
            self.assert_exits(peer, REFUSED)

    def test_a_python_client_without_a_key_gets_no_further_than_the_challenge(self):
        peer, address = self.serve(self.descriptors()[0], KEY.decode())
        with Client(address) as connection:
            self.assertTrue(connection.recv_bytes().startswith(b"#CHALLENGE#"))
            connection.send_bytes(b"let me in")
            self.assertEqual(connection.recv_bytes(), b"#FAILURE#")
        self.assert_exits(peer, REFUSED)


class Handshake(PeerTest):
    """The digest-tagged handshake of CPython 3.12 and later, with modern_handshake in Python's place."""

    def test_a_modern_client_with_a_ferry_listener(self):
        for digest in modern_handshake.DIGESTS:
            with self.subTest(digest=digest):
                peer, address = self.serve(self.descriptors()[0], KEY.decode())
                with Client(address) as connection:
                    self.assertEqual(modern_handshake.answer(connection, KEY), "sha256")
                    self.assertEqual(modern_handshake.deliver(connection, KEY, digest), digest)
                    connection.send_bytes(b"hello")
                    self.assertEqual(connection.recv_bytes(), b"hello")
                self.assert_exits(peer, 0)

    def test_a_ferry_client_with_a_modern_listener(self):
        for digest in modern_handshake.DIGESTS:
            for listener in self.listeners(None):
                with self.subTest(digest=digest):
                    peer = self.start("call", to_descriptor(listener.address), KEY.decode(), "5")
                    with listener.accept() as connection:
                        self.assertEqual(modern_handshake.deliver(connection, KEY, digest), digest)
                        self.assertEqual(modern_handshake.answer(connection, KEY), "sha256")
                        connection.send_bytes(connection.recv_bytes())
                    self.assert_exits(peer, 0)

    def test_wrong_keys_are_refused_both_ways(self):
        peer, address = self.serve(self.descriptors()[0], KEY.decode())
        with Client(address) as connection, self.assertRaises(multiprocessing.AuthenticationError):
            modern_handshake.answer(connection, b"wrong")
        self.assert_exits(peer, REFUSED)
        for listener in self.listeners(None):
            peer = self.start("call", to_descriptor(listener.address), "wrong", "5")
            with listener.accept() as connection, self.assertRaises(multiprocessing.AuthenticationError):
                modern_handshake.deliver(connection, KEY)
            self.assert_exits(peer, REFUSED)


def available_memory():
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Above2GiB(PeerTest):
    @unittest.skipIf(available_memory() < 12 << 30, "needs 12 GiB of free memory")
    def test_a_message_above_two_gibibytes_each_way(self):
        size = (2 << 30) + 1000
        with Listener(f"{self.folder.name}/python.sock") as listener:
            peer = self.start("swap", to_descriptor(listener.address) + "?max_message=4GiB", "-", str(size))
            with listener.accept() as connection:
                message = message_of(size)
                sender = threading.Thread(target=connection.send_bytes, args=(message,))
                sender.start()
                received = connection.recv_bytes()
                sender.join()
                self.assertTrue(received == message)
            self.assert_exits(peer, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
