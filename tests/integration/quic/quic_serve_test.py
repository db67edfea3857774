"""What an operator does with `ferry serve` over quic: certificates are renewed, options change, files are amiss."""
import os
import signal
import socket
import stat
import subprocess
import unittest

from ferry_process import LIMIT_S, TestCase, run
from udp_relay import UdpRelay


class Client:
    """`ferry connect` to an echo, kept open."""

    def __init__(self, ferry):
        self.ferry = ferry

    def echoes(self, line):
        self.ferry.process.stdin.write(line.encode() + b"\n")
        self.ferry.process.stdin.flush()
        self.ferry.output.wait_for(f"^{line}$")

    def end(self):
        self.ferry.process.stdin.close()
        return self.ferry.wait()


class QuicTestCase(TestCase):
    def keygen(self, name="srv"):
        """Makes NAME.crt and NAME.key, and returns the options of a listener with them."""
        done = run("keygen", "--out", self.path(name + ".new"), "--name", "localhost", "--name", "127.0.0.1")
        self.assertEqual(done.returncode, 0, done.stderr)
        for end in (".crt", ".key"):
            os.replace(self.path(name + ".new" + end), self.path(name + end))
        return f"cert={self.path(name)}.crt&key={self.path(name)}.key"

    def serve_echo(self, options, address="127.0.0.1:0"):
        ferry, (descriptor,) = self.serve(self.echo(options, address))
        return ferry, descriptor.split("?")[0]

    def echo(self, options, address="127.0.0.1:0"):
        return {"name": "echo", "listen": [f"quic://{address}?{options}"], "service": "echo"}

    def reload(self, ferry, service, pattern, occurrence=1):
        self.write("app.json", {"services": [service]})
        ferry.signal(signal.SIGHUP)
        return ferry.log.wait_for(pattern, occurrence)

    def connect(self, descriptor):
        client = Client(self.start("connect", descriptor, stdin=subprocess.PIPE))
        client.echoes("hello")
        return client

    def exchange(self, descriptor):
        """One client from its start to its end."""
        return run("connect", descriptor, "--deadline", f"{LIMIT_S}s", stdin=b"hello")


class Reload(QuicTestCase):
    def test_a_renewed_certificate_is_served_after_a_reload_that_changes_nothing_else(self):
        service = self.echo(self.keygen())
        ferry, (descriptor,) = self.serve(service)
        trusting = f"{descriptor.split('?')[0]}?ca={self.path('srv.crt')}"
        live = self.connect(trusting)
        self.keygen()
        self.assertEqual(self.exchange(trusting).returncode, 5)  # the client has the new one, the server not yet
        self.reload(ferry, service, "files of certificates and keys were read again")
        ferry.log.wait_for("reloaded")
        done = self.exchange(trusting)
        self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
        live.echoes("again")
        self.assertEqual(live.end(), 0)

    def test_a_certificate_without_its_key_leaves_the_old_pair_in_force(self):
        service = self.echo(self.keygen())
        ferry, (descriptor,) = self.serve(service)
        with open(self.path("srv.crt"), "rb") as file:
            old = file.read()
        with open(self.path("old.crt"), "wb") as file:
            file.write(old)
        self.keygen("other")
        os.replace(self.path("other.crt"), self.path("srv.crt"))
        self.reload(ferry, service, "reload failed")
        ferry.log.wait_for(r"/services/0/listen/0: cert .*srv\.crt")
        done = self.exchange(f"{descriptor.split('?')[0]}?ca={self.path('old.crt')}")
        self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)

    def test_options_change_while_clients_are_connected(self):
        pair = self.keygen()
        ferry, descriptor = self.serve_echo(pair)
        trusting = f"{descriptor}?ca={self.path('srv.crt')}"
        live = self.connect(trusting)
        self.reload(ferry, self.echo(pair + "&alpn=chess&cc=bbr2"), "reconfigured quic://")
        self.assertEqual(self.exchange(trusting).returncode, 5)
        done = self.exchange(trusting + "&alpn=chess")
        self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
        live.echoes("again")
        self.assertEqual(live.end(), 0)

    def test_a_listener_that_must_be_opened_anew_takes_its_port_over_from_its_clients(self):
        pair = self.keygen()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chosen:
            chosen.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{chosen.getsockname()[1]}"
        ferry, descriptor = self.serve_echo(pair, address)
        trusting = f"{descriptor}?ca={self.path('srv.crt')}"
        live = self.connect(trusting)
        self.reload(ferry, self.echo(pair + "&spin=20us", address), "reloaded")
        self.assertNotIn("keeping the old", ferry.log.text())
        done = self.exchange(trusting)
        self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
        live.echoes("again")
        self.assertEqual(live.end(), 0)

    def test_a_service_that_is_removed_and_comes_back_keeps_its_clients(self):
        pair = self.keygen()
        other = {"name": "other", "listen": ["tcp://127.0.0.1:0"], "service": "echo"}
        ferry, (descriptor, _) = self.serve(self.echo(pair), other)
        address = descriptor.split("?")[0].removeprefix("quic://")
        trusting = f"quic://{address}?ca={self.path('srv.crt')}"
        live = self.connect(trusting)
        for round in (0, 1):
            self.reload(ferry, other, "reloaded", 2 * round + 1)
            self.assertEqual(self.exchange(trusting).returncode, 5)
            live.echoes(f"without {round}")
            self.reload(ferry, self.echo(pair, address), "reloaded", 2 * round + 2)
            done = self.exchange(trusting)
            self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
            live.echoes(f"with {round}")
        self.assertEqual(live.end(), 0)

    def test_a_listener_without_a_certificate_is_a_fault_of_the_file(self):
        done = run("serve", self.write("app.json", {"services": [self.echo("alpn=chess")]}))
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, b"/services/0/listen/0: listening needs the option 'cert': .*'ferry keygen'")


class Listen(QuicTestCase):
    def test_a_client_that_proves_nothing_is_not_the_end_of_ferry_listen(self):
        pair = self.keygen()
        ferry = self.start("listen", f"quic://127.0.0.1:0?{pair}&client_ca={self.path('srv.crt')}", stdin=subprocess.DEVNULL)
        descriptor = ferry.log.wait_for(r"^listening ([^?\s]+)").group(1) + f"?ca={self.path('srv.crt')}"
        self.assertEqual(self.exchange(descriptor).returncode, 5)
        ferry.log.wait_for("no certificate")
        done = self.exchange(f"{descriptor}&{pair}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((ferry.wait(), ferry.output.lines), (0, ["hello"]))


class Files(QuicTestCase):
    def test_a_private_key_that_others_may_read_is_warned_of(self):
        service = self.echo(self.keygen())
        for mode, warned in ((0o640, False), (0o644, True)):
            os.chmod(self.path("srv.key"), mode)
            ferry, _ = self.serve(service)
            self.assertEqual(ferry.terminate(), 0)
            self.assertEqual(f"private key in {self.path('srv.key')}" in ferry.log.text(), warned)


class EarlyData(QuicTestCase):
    """A relay makes one connection after the other to the same server, with the tickets that it gave."""

    def serve_at(self, address, served, env=None):
        server = self.start("serve", self.write("app.json", {"services": [self.echo(served, address)]}), env=env)
        (descriptor,) = server.listening()
        return server, descriptor.split("?")[0]

    def ask(self, descriptor):
        """Whether the server answers through the relay."""
        host, port = descriptor.removeprefix("tcp://").rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), LIMIT_S) as client:  # may be reset before it returns
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                return client.makefile("rb").read() == b"hello"
        except ConnectionError:
            return False

    def test_a_server_that_wants_another_key_exchange_costs_one_connection_and_not_the_process(self):
        options = self.keygen() + "&early_data=true"
        server, descriptor = self.serve_at("127.0.0.1:0", options)
        relay = self.start("relay", "tcp://127.0.0.1:0", f"{descriptor}?ca={self.path('srv.crt')}&early_data=true")
        (here,) = relay.listening()
        self.assertTrue(self.ask(here))
        self.assertTrue(self.ask(here))
        server.log.wait_for("early_data=true lets whoever is on the path")
        relay.log.wait_for("early_data=true lets whoever is on the path")
        server.kill()
        with open(self.path("priorities"), "w") as file:
            file.write("[overrides]\ndisabled-curve = x25519\n")
        self.serve_at(descriptor.removeprefix("quic://"), options, {"GNUTLS_SYSTEM_PRIORITY_FILE": self.path("priorities")})
        # Each refusal costs the relay its ticket, and each success brings another, if that does not come too late.
        answers = [self.ask(here) for _ in range(4)]
        if False in answers:
            # Early data that comes in one datagram with the hello is refused first: the server has no stream for it yet.
            relay.log.wait_for("asks for another key exchange|ERR_STREAM_LIMIT")
        self.assertNotIn((False, False), list(zip(answers, answers[1:])))


class KeyLog(QuicTestCase):
    def test_the_environments_key_log_is_the_owners_alone(self):
        _, descriptor = self.serve_echo(self.keygen())
        for mode, written in ((None, True), (0o644, False)):
            path = self.path(f"keys-{mode}")
            if mode:
                with open(path, "w"):
                    os.chmod(path, mode)
            done = run("connect", f"{descriptor}?ca={self.path('srv.crt')}", stdin=b"hello", env={"SSLKEYLOGFILE": path})
            self.assertEqual((done.returncode, done.stdout), (0, b"hello"), done.stderr)
            facts = os.stat(path)
            self.assertEqual((facts.st_size > 0, stat.S_IMODE(facts.st_mode)), (written, mode or 0o600))
            self.assertEqual(b"SSLKEYLOGFILE is not written" in done.stderr, not written)


class PacketSize(QuicTestCase):
    def test_a_short_path_that_carries_only_small_packets_is_found_out(self):
        _, descriptor = self.serve_echo(self.keygen())
        relay = UdpRelay(int(descriptor.rsplit(":", 1)[1]), max_payload=1452)
        self.addCleanup(relay.close)
        data = os.urandom(4 << 20)
        done = run("connect", f"quic://127.0.0.1:{relay.port}?ca={self.path('srv.crt')}", stdin=data)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)
        # None where the machine is so busy, or the program so slow, that the path does not look short.
        self.assertLessEqual(relay.stop()["up"]["oversized"], 10)


if __name__ == "__main__":
    unittest.main()
