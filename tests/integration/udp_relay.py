"""Runs the built `udp_relay`, a bad network between a client and a server on loopback."""
import json
import os
import subprocess

from ferry_process import FERRY, LIMIT_S, Lines

PROGRAM = os.path.join(os.path.dirname(FERRY), "../tests/udp_relay")


class UdpRelay:
    """A relay to `port`; options are those of the program with _ for -: `delay_ms=25, loss=0.01`."""

    def __init__(self, port, **options):
        words = []
        for name, value in options.items():
            option = "--" + name.replace("_", "-")
            words += [option] if value is True else [option, str(value)]
        self.process = subprocess.Popen([PROGRAM, str(port), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.output = Lines(self.process.stdout)
        self.port = int(self.output.wait_for(r"^listening [\d.]+:(\d+)$").group(1))
        self.commands = 0

    def command(self, text):
        """Tells the running relay something; it is in force on return."""
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        self.commands += 1
        self.output.wait_for("^done$", occurrence=self.commands)

    def rebind(self):
        """Gives every client a new address towards the server."""
        self.command("rebind")

    def lose(self, min_bytes):
        """Loses the next packet towards the server of at least so many bytes."""
        self.command(f"lose {min_bytes}")

    def mark(self, min_bytes):
        """Marks the next such packet as having met congestion instead (ECN)."""
        self.command(f"mark {min_bytes}")

    def set_max_payload(self, max_bytes):
        self.command(f"max-payload {max_bytes}")

    def stop(self):
        """Ends it; returns what happened to packets, {"up": {...}, "down": {...}}."""
        self.process.terminate()
        self.close()
        return json.loads(self.output.lines[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(LIMIT_S)
        self.output.join()
        self.process.stdin.close()
        self.process.stdout.close()
