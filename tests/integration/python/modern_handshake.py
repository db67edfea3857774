"""The authkey handshake as CPython 3.12 and later speak it, written from its description for peers that run 3.11.

A challenge is `#CHALLENGE#{digest}` and 40 random bytes; the answer is `{digest}` and the HMAC of all that follows
`#CHALLENGE#`, or, from peers of the older kind, a bare HMAC-MD5 of 16 bytes. A challenge of 20 bytes without a tag comes
from an older listener and is answered with that bare HMAC-MD5.
"""
import hmac
import os
from multiprocessing import AuthenticationError

PREFIX, WELCOME, FAILURE = b"#CHALLENGE#", b"#WELCOME#", b"#FAILURE#"
DIGESTS = ("md5", "sha256", "sha384", "sha3_256", "sha3_384")
BARE_LENGTHS = (16, 20)
NONCE_BYTES = 40
MAX_MESSAGE = 256


def split(message):
    """(digest name, payload); the name is empty for the older, untagged form."""
    if len(message) in BARE_LENGTHS:
        return "", message
    for name in DIGESTS:
        tag = b"{" + name.encode() + b"}"
        if message.startswith(tag):
            return name, message[len(tag):]
    raise AuthenticationError(f"no tag of an allowed digest: {message!r}")


def deliver(connection, key, digest="sha256"):
    challenge = b"{" + digest.encode() + b"}" + os.urandom(NONCE_BYTES)
    connection.send_bytes(PREFIX + challenge)
    answer = connection.recv_bytes(MAX_MESSAGE)
    try:
        name, mac = split(answer)
        right = hmac.compare_digest(hmac.new(key, challenge, name or "md5").digest(), mac)
    except AuthenticationError:
        right = False
    connection.send_bytes(WELCOME if right else FAILURE)
    if not right:
        raise AuthenticationError("the answer is wrong")
    return split(answer)[0]


def answer(connection, key):
    message = connection.recv_bytes(MAX_MESSAGE)
    if not message.startswith(PREFIX):
        raise AuthenticationError(f"no challenge: {message!r}")
    challenge = message[len(PREFIX):]
    if len(challenge) < 20:
        raise AuthenticationError("the challenge is too short")
    name = split(challenge)[0]
    mac = hmac.new(key, challenge, name or "md5").digest()
    connection.send_bytes(b"{" + name.encode() + b"}" + mac if name else mac)
    if connection.recv_bytes(MAX_MESSAGE) != WELCOME:
        raise AuthenticationError("our answer was refused")
    return name
