"""A network of the script's own, with no one else in it, for paths that are none between loopback addresses."""
import fcntl
import os
import socket
import struct
import subprocess
import sys

ADDRESS = "10.93.0.1"  # of the loopback interface there; programs do not know that both ends are one machine
INSIDE = "FERRY_OWN_NETWORK"
SIOCSIFADDR, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x8914, 1


def enter():
    """Runs the script again in such a network. Ends it as skipped where the system makes none for us."""
    if INSIDE in os.environ:
        return set_up()
    unshare = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("the system lets us make no network namespace")
        sys.exit(77)
    os.execvpe(unshare[0], [*unshare, sys.executable, "-B", *sys.argv], {**os.environ, INSIDE: "1"})


def set_up():
    """Makes the loopback interface of this process's network work, with ADDRESS as a second one."""
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
        address = struct.pack("16sH2x4s8x", b"lo:1", socket.AF_INET, socket.inet_aton(ADDRESS))
        fcntl.ioctl(control, SIOCSIFADDR, address)
