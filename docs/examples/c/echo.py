"""Sends one message over the link "engine" and prints the answer, by ctypes: echo.py LIBFERRY CONFIG."""
import ctypes
import sys

ferry = ctypes.CDLL(sys.argv[1])
ferry.ferry_deadline_after.restype = ctypes.c_int64
ferry.ferry_deadline_after.argtypes = [ctypes.c_int64]


class Error(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("status", ctypes.c_int32), ("os_error", ctypes.c_int32),
                ("reserved", ctypes.c_uint32), ("message", ctypes.c_char * 488)]


def check(status, error=None):
    if status != 0:
        raise OSError(error.message.decode() if error else status)


error = Error(struct_size=ctypes.sizeof(Error))
runtime, channel = ctypes.c_void_p(), ctypes.c_void_p()
check(ferry.ferry_runtime_load(sys.argv[2].encode(), ctypes.byref(runtime), ctypes.byref(error)), error)
check(ferry.ferry_connect(runtime, b"engine", ctypes.byref(channel), ctypes.byref(error)), error)
soon = ctypes.c_int64(ferry.ferry_deadline_after(5_000_000_000))
check(ferry.ferry_channel_send(channel, b"hello", ctypes.c_uint64(5), soon))
data, size = ctypes.c_void_p(), ctypes.c_uint64()
check(ferry.ferry_channel_receive(channel, ctypes.byref(data), ctypes.byref(size), soon))
print(ctypes.string_at(data, size.value).decode())
check(ferry.ferry_channel_close(channel))
ferry.ferry_runtime_free(runtime)
