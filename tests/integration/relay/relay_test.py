"""`ferry relay`: what passes through it, how ends and resets do, and what its ledger says."""
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from ferry_process import FERRY, LIMIT_S, NOHALF, TestCase, dial, fill, in_thread, receive_all, receive_exactly, reset, run


class RelayCase(TestCase):
    def relay(self, target, *more, listen="tcp://127.0.0.1:0"):
        ferry = self.start("relay", listen, target, "--json", *more)
        descriptor = json.loads(ferry.output.wait_for(r"^\{.*listening.*\}$").group(0))["descriptor"]
        return ferry, descriptor

    def ledger(self, ferry):
        return json.loads(ferry.output.wait_for(r'^\{"event":"ledger".*\}$').group(0))

    def join(self, target_listener, descriptor):
        client = self.dial(descriptor)
        return client, self.accept(target_listener)


class Relay(RelayCase):
    def test_every_byte_arrives_both_ways(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        up, down = os.urandom(5_000_000), os.urandom(3_000_000)
        with in_thread(client.sendall, up), in_thread(server.sendall, down):
            with in_thread(lambda: self.assertEqual(receive_exactly(server, len(up)), up)):
                self.assertEqual(receive_exactly(client, len(down)), down)
        client.close()
        server.close()
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        ledger = self.ledger(ferry)
        self.assertEqual(ledger["connections"], 1)
        self.assertEqual(ledger["to_target"], {"in": len(up), "out": len(up), "spliced": 0, "unaccounted": 0})
        self.assertEqual(ledger["to_client"], {"in": len(down), "out": len(down), "spliced": 0, "unaccounted": 0})

    def test_half_close_passes_and_the_reply_still_comes_back(self):
        listener, target = self.listener()
        _, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(server), b"question")
        server.sendall(b"answer")
        self.assertEqual(receive_exactly(client, 6), b"answer")
        server.sendall(b", later")
        server.close()
        self.assertEqual(receive_all(client), b", later")

    def test_the_target_may_end_its_direction_first(self):
        listener, target = self.listener()
        _, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        server.sendall(b"greeting")
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(client), b"greeting")
        client.sendall(b"still here")
        client.close()
        self.assertEqual(receive_all(server), b"still here")

    def test_a_reset_by_the_client_is_a_reset_at_the_target(self):
        listener, target = self.listener()
        _, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        client.sendall(b"x")
        receive_exactly(server, 1)
        reset(client)
        with self.assertRaises(ConnectionResetError):
            receive_all(server)

    def test_a_reset_by_the_target_is_a_reset_at_the_client(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        client.sendall(b"x")
        receive_exactly(server, 1)
        reset(server)
        with self.assertRaises(ConnectionResetError):
            receive_all(client)
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        self.assertEqual(self.ledger(ferry)["resets"], 1)

    def test_last_words_of_a_target_that_takes_no_more_are_delivered(self):
        listener, target = self.listener()
        _, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        client.sendall(b"hello")
        receive_exactly(server, 5)
        server.sendall(b"go away")
        server.close()
        self.assertEqual(receive_exactly(client, 7), b"go away")

    def test_a_client_without_a_target_is_reset_and_the_reason_logged(self):
        listener, target = self.listener()
        listener.close()
        ferry, descriptor = self.relay(target)
        client = self.dial(descriptor)
        with self.assertRaises(ConnectionResetError):
            receive_all(client)
        ferry.log.wait_for("target cannot be reached.*refused")
        self.assertEqual(ferry.terminate(), 0)
        self.assertEqual(self.ledger(ferry)["connect_failures"], 1)

    def test_bytes_that_could_not_be_delivered_are_exit_code_7(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target, "--drain-timeout", "1ms")
        client, server = self.join(listener, descriptor)
        fill(client)  # the target does not read: every buffer fills
        self.assertEqual(ferry.terminate(), 7)
        ledger = self.ledger(ferry)
        self.assertEqual(ledger["cut"], 1)
        self.assertGreater(ledger["unaccounted"], 0)
        self.assertEqual(ledger["unaccounted"], ledger["to_target"]["in"] - ledger["to_target"]["out"])

    def test_a_ledger_that_could_not_be_written_is_exit_code_1(self):
        listener, target = self.listener()
        path = self.path("relay.sock")
        with open("/dev/full", "wb") as full:
            process = subprocess.Popen([FERRY, "relay", "uds://" + path, target, "--json", "--once"], stdout=full)
        self.addCleanup(process.kill)
        while not os.path.exists(path):
            time.sleep(0.01)
        self.dial("uds://" + path).close()
        self.accept(listener).close()
        self.assertEqual(process.wait(LIMIT_S), 1)

    def test_memory_is_bounded_when_the_target_does_not_read(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        before = ferry.resident_bytes()
        fill(client)
        self.assertLess(ferry.resident_bytes() - before, 8 << 20)
        client.close()
        receive_all(server)

    def test_idle_connections_are_left_alone_while_others_work(self):
        listener, target = self.listener()
        _, descriptor = self.relay(target)
        idle, idle_server = self.join(listener, descriptor)
        for _ in range(50):
            client, server = self.join(listener, descriptor)
            client.sendall(b"ping")
            self.assertEqual(receive_exactly(server, 4), b"ping")
            client.close()
            self.assertEqual(receive_all(server), b"")
        idle.sendall(b"awake")
        self.assertEqual(receive_exactly(idle_server, 5), b"awake")

    def test_a_chain_of_two_relays_over_two_transports(self):
        listener, target = self.listener()
        _, middle = self.relay(target, listen="uds://" + self.path("middle.sock"))
        _, descriptor = self.relay(middle)
        client, server = self.join(listener, descriptor)
        data = os.urandom(2_000_000)
        with in_thread(client.sendall, data):
            received = receive_exactly(server, len(data))
        self.assertEqual(hashlib.sha256(received).digest(), hashlib.sha256(data).digest())
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(server), b"")
        server.sendall(b"done")
        server.close()
        self.assertEqual(receive_all(client), b"done")

    def test_a_drain_waits_for_the_live_connection(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target)
        client, server = self.join(listener, descriptor)
        ferry.signal(signal.SIGTERM)
        ferry.log.wait_for("draining")
        with self.assertRaises(ConnectionRefusedError):
            dial(descriptor)
        client.sendall(b"last")
        self.assertEqual(receive_exactly(server, 4), b"last")
        client.close()
        server.close()
        self.assertEqual(ferry.wait(), 0)

    def test_once_ends_after_one_client(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay(target, "--once")
        client, server = self.join(listener, descriptor)
        client.sendall(b"only")
        client.close()
        self.assertEqual(receive_all(server), b"only")
        server.close()
        self.assertEqual(ferry.wait(), 0)

    def test_once_without_a_target_is_exit_code_5(self):
        listener, target = self.listener()
        listener.close()
        ferry, descriptor = self.relay(target, "--once")
        with self.assertRaises(ConnectionResetError):
            receive_all(self.dial(descriptor))
        self.assertEqual(ferry.wait(), 5)

    def test_the_ledger_as_text_is_on_standard_error(self):
        listener, target = self.listener()
        ferry = self.start("relay", "tcp://127.0.0.1:0", target)
        client, server = self.join(listener, ferry.listening()[0])
        client.sendall(b"abc")
        receive_exactly(server, 3)
        client.close()
        server.close()
        self.assertEqual(ferry.terminate(), 0)
        ferry.log.wait_for("relayed 1 connections")
        ferry.log.wait_for("to target  3 bytes in, 3 out")
        ferry.log.wait_for("0 bytes unaccounted for")


class WithoutHalfClose(RelayCase):
    """One side's transport has no half-close: the end of either direction is the end of the connection."""

    def start_over(self, transport):
        """A pair over tcp and a transport without half-close, `transport` being the target's."""
        listener, target = self.listener()
        port = target.rsplit(":", 1)[1]
        target, listen = (f"nohalf://{port}", "tcp://127.0.0.1:0") if transport == "nohalf" else (target, "nohalf://0")
        ferry, descriptor = self.relay(target, "--plugin-dir", NOHALF, "--log-level", "debug", "--drain-timeout", "1ms",
                                       listen=listen)
        client, server = self.join(listener, "tcp://127.0.0.1:" + re.search(r"\d+$", descriptor).group(0))
        client.sendall(b"question")
        self.assertEqual(receive_exactly(server, 8), b"question")
        server.sendall(b"answer")
        self.assertEqual(receive_exactly(client, 6), b"answer")
        return ferry, client, server

    def ends_in_order(self, ferry, connections=1):
        ferry.log.wait_for("client .* ended: success", occurrence=connections)
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        ledger = self.ledger(ferry)
        self.assertEqual([ledger[key] for key in ("connections", "resets", "cut", "unaccounted")], [connections, 0, 0, 0])

    def test_the_clients_end_ends_the_target(self):
        for transport in ("nohalf", "tcp"):
            with self.subTest(target=transport):
                ferry, client, server = self.start_over(transport)
                client.close()
                self.assertEqual(receive_all(server), b"")
                self.ends_in_order(ferry)

    def test_the_targets_end_ends_the_client(self):
        for transport in ("nohalf", "tcp"):
            with self.subTest(target=transport):
                ferry, client, server = self.start_over(transport)
                server.close()
                self.assertEqual(receive_all(client), b"")
                self.ends_in_order(ferry)

    def test_what_the_target_sent_before_the_clients_end_is_delivered(self):
        ferry, client, server = self.start_over("nohalf")
        fill(server)  # the client does not read: every buffer fills
        client.shutdown(socket.SHUT_WR)
        received = len(receive_all(client))
        self.ends_in_order(ferry)
        self.assertEqual(received, self.ledger(ferry)["to_client"]["in"] - len(b"answer"))

    def test_no_client_leaves_a_descriptor_behind(self):
        listener, target = self.listener()
        ferry, descriptor = self.relay("nohalf://" + target.rsplit(":", 1)[1], "--plugin-dir", NOHALF,
                                       "--log-level", "debug")
        for count in range(1, 101):
            client, server = self.join(listener, descriptor)
            client.close()
            self.assertEqual(receive_all(server), b"")
            server.close()
            ferry.log.wait_for("client .* ended", occurrence=count)
            if count == 1:
                before = ferry.open_descriptors()
        self.assertLessEqual(ferry.open_descriptors(), before + 2)  # those of the last may be about to go
        self.ends_in_order(ferry, connections=100)


if __name__ == "__main__":
    unittest.main()
