"""`ferry serve`: readiness, the services, reload, and how it ends."""
import json
import os
import re
import signal
import socket
import stat
import unittest

from ferry_process import TestCase, dial, fill, in_thread, receive_all, receive_exactly, run

ECHO = {"name": "echo", "listen": ["tcp://127.0.0.1:0"], "service": "echo"}


class Services(TestCase):
    def test_echo_returns_every_byte_and_keeps_the_half_close(self):
        _, (descriptor,) = self.serve(ECHO)
        client = self.dial(descriptor)
        data = os.urandom(3_000_000)

        def send():
            client.sendall(data)
            client.shutdown(1)

        with in_thread(send):
            self.assertEqual(receive_all(client), data)

    def test_a_client_that_does_not_read_its_echo_is_not_read_either(self):
        ferry, (descriptor,) = self.serve(ECHO)
        client = self.dial(descriptor)
        before = ferry.resident_bytes()
        client.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            while True:
                client.send(bytes(1 << 16))
        self.assertLess(ferry.resident_bytes() - before, 8 << 20)

    def test_discard_takes_everything_and_says_nothing(self):
        _, (descriptor,) = self.serve({**ECHO, "name": "sink", "service": "discard"})
        client = self.dial(descriptor)
        client.sendall(bytes(1_000_000))
        client.shutdown(1)
        self.assertEqual(receive_all(client), b"")

    def test_one_service_listens_on_several_transports(self):
        path = self.path("echo.sock")
        _, descriptors = self.serve({**ECHO, "listen": ["tcp://127.0.0.1:0", f"uds://{path}"]})
        self.assertRegex(descriptors[0], r"^tcp://127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(descriptors[1], f"uds://{path}")
        for descriptor in descriptors:
            client = self.dial(descriptor)
            client.sendall(b"hello")
            self.assertEqual(receive_exactly(client, 5), b"hello")

    def test_a_local_name_is_served_by_every_local_transport_as_relay_does(self):
        env = {"XDG_RUNTIME_DIR": self.dir}
        config = self.write("app.json", {"services": [{**ECHO, "listen": ["local://engine"]}]})
        ferry = self.start("serve", config, env=env)
        served = ferry.listening(3)
        self.assertEqual(sorted(descriptor.split(":")[0] for descriptor in served), ["npipe", "shm", "uds"])
        for descriptor in served + ["local://engine"]:
            done = run("connect", descriptor, stdin=b"hello", env=env)
            self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
        self.assertEqual(ferry.terminate(), 0)
        relay = self.start("relay", "local://engine", "tcp://127.0.0.1:1", env=env)
        self.assertEqual(sorted(relay.listening(3)), sorted(served))

    def test_clients_beyond_max_connections_are_turned_away(self):
        ferry, (descriptor,) = self.serve({**ECHO, "max_connections": 1})
        first = self.dial(descriptor)
        first.sendall(b"a")
        receive_exactly(first, 1)
        with self.assertRaises(ConnectionResetError):
            receive_all(self.dial(descriptor))
        ferry.log.wait_for("turned away")
        first.sendall(b"b")
        self.assertEqual(receive_exactly(first, 1), b"b")

    def test_readiness_as_json(self):
        config = self.write("app.json", {"services": [ECHO]})
        ferry = self.start("serve", config, "--json")
        line = json.loads(ferry.output.wait_for("listening").string)
        self.assertEqual((line["event"], line["service"]), ("listening", "echo"))
        self.dial(line["descriptor"])

    def test_an_address_in_use_is_exit_code_5_and_names_it(self):
        _, (descriptor,) = self.serve(ECHO)
        config = self.write("second.json", {"services": [{**ECHO, "listen": [descriptor]}]})
        done = run("serve", config)
        self.assertEqual(done.returncode, 5)
        self.assertIn(descriptor.removeprefix("tcp://").encode(), done.stderr)

    def test_a_bad_config_starts_nothing_and_is_exit_code_3(self):
        config = self.write("app.json", {"services": [ECHO, {**ECHO, "name": "b", "service": "ecko"}]})
        done = run("serve", config)
        self.assertEqual((done.returncode, done.stdout), (3, b""))
        self.assertIn(b"/services/1/service", done.stderr)


class Ending(TestCase):
    def test_an_idle_server_ends_at_once_and_removes_its_socket_file(self):
        path = self.path("echo.sock")
        ferry, _ = self.serve({**ECHO, "listen": [f"uds://{path}"]})
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.assertEqual(ferry.terminate(), 0)
        self.assertFalse(os.path.exists(path))

    def test_a_drain_lets_live_connections_finish(self):
        ferry, (descriptor,) = self.serve(ECHO)
        client = self.dial(descriptor)
        client.sendall(b"before")
        receive_exactly(client, 6)
        ferry.signal(signal.SIGTERM)
        ferry.log.wait_for("draining: 1 connections")
        with self.assertRaises(ConnectionRefusedError):
            dial(descriptor)
        client.sendall(b"after")
        self.assertEqual(receive_exactly(client, 5), b"after")
        client.close()
        self.assertEqual(ferry.wait(), 0)

    def test_a_drain_is_bounded(self):
        ferry, (descriptor,) = self.serve(ECHO, arguments=["--drain-timeout", "50ms"])
        client = self.dial(descriptor)
        client.sendall(b"x")
        receive_exactly(client, 1)
        self.assertEqual(ferry.terminate(), 0)
        with self.assertRaises(ConnectionResetError):
            receive_all(client)

    def test_a_second_signal_ends_at_once(self):
        ferry, (descriptor,) = self.serve(ECHO, arguments=["--drain-timeout", "1h"])
        client = self.dial(descriptor)
        client.sendall(b"x")
        receive_exactly(client, 1)
        ferry.signal(signal.SIGTERM)
        ferry.log.wait_for("draining")
        ferry.signal(signal.SIGINT)
        ferry.wait()
        with self.assertRaises(ConnectionResetError):
            receive_all(client)


class Ledger(TestCase):
    def serve_relay(self, *arguments):
        listener, target = self.listener()
        relay = {"name": "relay", "listen": ["uds://" + self.path("relay.sock")], "service": "relay", "to": target}
        config = self.write("app.json", {"services": [relay, ECHO]})
        ferry = self.start("serve", config, *arguments)
        ferry.output.wait_for("listening.*relay.sock")
        client = self.dial("uds://" + self.path("relay.sock"))
        return ferry, client, self.accept(listener)

    def test_a_server_with_a_relay_ends_with_its_ledger(self):
        for arguments in ([], ["--json"]):
            with self.subTest(arguments):
                ferry, client, server = self.serve_relay(*arguments)
                client.sendall(b"abc")
                receive_exactly(server, 3)
                client.close()
                server.close()
                self.assertEqual(ferry.terminate(), 0)
                if arguments:
                    ledger = json.loads(ferry.output.lines[-1])
                    self.assertEqual((ledger["event"], ledger["to_target"]["out"]), ("ledger", 3))
                else:
                    ferry.log.wait_for("to target  3 bytes in, 3 out")

    def test_bytes_that_a_relay_could_not_deliver_are_exit_code_7(self):
        ferry, client, _ = self.serve_relay("--json", "--drain-timeout", "1ms")
        fill(client)
        self.assertEqual(ferry.terminate(), 7)
        self.assertGreater(json.loads(ferry.output.lines[-1])["unaccounted"], 0)

    def test_a_server_without_relays_has_no_ledger(self):
        ferry, _ = self.serve(ECHO)
        self.assertEqual(ferry.terminate(), 0)
        self.assertNotIn("relayed", ferry.log.text())


class Reload(TestCase):
    def reload(self, ferry, *services):
        count = len(ferry.log.find("reloaded"))
        self.write("app.json", {"services": list(services)})
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("reloaded", occurrence=count + 1)

    def test_a_bad_config_keeps_the_old_one_and_logs_every_problem(self):
        ferry, (descriptor,) = self.serve(ECHO)
        self.write("app.json", {"services": [{**ECHO, "service": "ecko"}, {**ECHO, "name": "b", "framing": "lines"}]})
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("going on with the configuration of before")
        ferry.log.wait_for("/services/0/service")
        ferry.log.wait_for("/services/1/framing")
        client = self.dial(descriptor)
        client.sendall(b"same")
        self.assertEqual(receive_exactly(client, 4), b"same")

    def test_the_log_says_why_as_check_does(self):
        ferry, _ = self.serve(ECHO)
        config = self.write("app.json", '{"links": {"a": {"endpoints": ["tpc://h:1"]}},\n "services": []}')
        said = run("check", config).stderr.decode().removeprefix("ferry: ").splitlines()
        self.assertGreater(len(said), 1, said)
        ferry.signal(signal.SIGHUP)
        for line in said:
            ferry.log.wait_for(re.escape(line) + "$")

    def test_a_config_without_services_changes_nothing(self):
        ferry, (descriptor,) = self.serve(ECHO)
        self.write("app.json", {"services": []})
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("no services to run")
        client = self.dial(descriptor)
        client.sendall(b"same")
        self.assertEqual(receive_exactly(client, 4), b"same")

    def test_an_unchanged_listener_stays_with_its_port_and_its_connections(self):
        ferry, (descriptor,) = self.serve(ECHO)
        client = self.dial(descriptor)
        client.sendall(b"1")
        receive_exactly(client, 1)
        self.reload(ferry, ECHO, {**ECHO, "name": "more", "listen": ["uds://" + self.path("more.sock")]})
        client.sendall(b"2")
        self.assertEqual(receive_exactly(client, 1), b"2")
        self.dial(descriptor)
        more = self.dial("uds://" + self.path("more.sock"))
        more.sendall(b"3")
        self.assertEqual(receive_exactly(more, 1), b"3")

    def test_a_service_moves_from_tcp_to_uds_and_its_live_connection_stays(self):
        ferry, (tcp,) = self.serve(ECHO)
        client = self.dial(tcp)
        client.sendall(b"old")
        receive_exactly(client, 3)
        uds = "uds://" + self.path("echo.sock")
        self.reload(ferry, {**ECHO, "listen": [uds]})
        moved = self.dial(uds)
        moved.sendall(b"new")
        self.assertEqual(receive_exactly(moved, 3), b"new")
        with self.assertRaises(ConnectionRefusedError):
            dial(tcp)
        client.sendall(b"still")
        self.assertEqual(receive_exactly(client, 5), b"still")
        client.close()
        moved.close()
        self.assertEqual(ferry.terminate(), 0)

    def test_an_option_that_needs_it_makes_the_listener_listen_anew(self):
        path = self.path("echo.sock")
        ferry, _ = self.serve({**ECHO, "listen": [f"uds://{path}?mode=0600"]})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.reload(ferry, {**ECHO, "listen": [f"uds://{path}?mode=0660"]})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        client = self.dial(f"uds://{path}")
        client.sendall(b"x")
        self.assertEqual(receive_exactly(client, 1), b"x")

    def test_a_relay_takes_new_connections_to_its_new_target(self):
        first, first_target = self.listener()
        second, second_target = self.listener()
        relay = {"name": "relay", "listen": ["tcp://127.0.0.1:0"], "service": "relay", "to": first_target}
        ferry, (descriptor,) = self.serve(relay)
        old_client = self.dial(descriptor)
        old_server = self.accept(first)
        self.reload(ferry, {**relay, "to": second_target})
        new_client = self.dial(descriptor)
        new_server = self.accept(second)
        for client, server in ((old_client, old_server), (new_client, new_server)):
            client.sendall(b"ping")
            self.assertEqual(receive_exactly(server, 4), b"ping")

    def test_a_new_address_in_use_changes_nothing(self):
        taken, target = self.listener()
        ferry, (descriptor,) = self.serve(ECHO)
        self.write("app.json", {"services": [{**ECHO, "listen": [target]}]})
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("listen .*" + re.escape(target.removeprefix("tcp://")))
        client = self.dial(descriptor)
        client.sendall(b"x")
        self.assertEqual(receive_exactly(client, 1), b"x")

    def own_port(self):
        """A port that the system gives to nobody else while the test runs; listening at it is free."""
        holder = socket.socket()
        self.addCleanup(holder.close)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]

    def test_a_port_may_move_to_a_wider_address_and_back(self):
        ferry, (narrow,) = self.serve({**ECHO, "listen": [f"tcp://127.0.0.1:{self.own_port()}"]})
        client = self.dial(narrow)
        wide = narrow.replace("127.0.0.1", "0.0.0.0")
        for descriptor, elsewhere in ((wide, True), (narrow, False)):
            self.reload(ferry, {**ECHO, "listen": [descriptor]})
            self.dial(narrow)
            if elsewhere:
                self.dial(narrow.replace("127.0.0.1", "127.0.0.2"))
            else:
                with self.assertRaises(ConnectionRefusedError):
                    dial(narrow.replace("127.0.0.1", "127.0.0.2"))
        client.sendall(b"x")
        self.assertEqual(receive_exactly(client, 1), b"x")

    def test_a_wider_address_moves_back_when_the_rest_of_the_reload_fails(self):
        taken, target = self.listener()
        ferry, (narrow,) = self.serve({**ECHO, "listen": [f"tcp://127.0.0.1:{self.own_port()}"]})
        wide = narrow.replace("127.0.0.1", "0.0.0.0")  # is opened before the address that is taken: keys are sorted
        self.write("app.json", {"services": [{**ECHO, "listen": [wide, target]}]})
        ferry.signal(signal.SIGHUP)
        ferry.log.wait_for("listen .*" + re.escape(target.removeprefix("tcp://")))
        self.dial(ferry.listening(2)[1])
        with self.assertRaises(ConnectionRefusedError):
            dial(narrow.replace("127.0.0.1", "127.0.0.2"))


if __name__ == "__main__":
    unittest.main()
