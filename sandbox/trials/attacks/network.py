"""Network: connections to listeners of the host, and sockets of every family."""

from genprm.sandbox.trials.attacks.kind import NATIVE, attacks

_SENT = "import socket\n"

_REACHED: dict[str, str | tuple[str, ...]] = {
    "TCP": _SENT + "socket.create_connection(TCP, 0.3)\nwon()",
    "TCP through IPv6": _SENT + "socket.create_connection(('::ffff:127.0.0.1', TCP[1]), 0.3)\nwon()",
    "multipath TCP": _SENT + "s = socket.socket(2, 1, 262)\ns.settimeout(0.3)\ns.connect(TCP)\nwon()",
    "TCP fast open": _SENT + "s = socket.socket()\ns.settimeout(0.3)\ns.sendto(b'x', 0x20000000, TCP)\nwon()",
    "TCP, raw calls": f"{NATIVE}\nimport struct\nfd = call('socket', 2, 1, 0)\n"
    "address = struct.pack('=H', 2) + struct.pack('!H', TCP[1]) + bytes([127, 0, 0, 1]) + bytes(8)\n"
    "call('connect', fd, address, 16)\nwon()",
    "asyncio": "import asyncio\nasyncio.run(asyncio.open_connection(*TCP))\nwon()",
    "UDP": _SENT + "socket.socket(2, 2).sendto(b'x', UDP)\nwon()",
    "UDP-Lite": _SENT + "socket.socket(2, 2, 136).sendto(b'x', UDP)\nwon()",
    "a query of names": _SENT + "s = socket.socket(2, 2)\ns.connect(UDP)\n"
    r"s.send(b'\0\1\1\0\0\1\0\0\0\0\0\0\6secret\7example\3com\0\0\1\0\1')" + "\nwon()",
    "http": "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{TCP[1]}/', timeout=0.3)\nwon()",
    "http.client": "import http.client\nc = http.client.HTTPConnection(*TCP, timeout=0.3)\n"
    "c.request('GET', '/')\nwon()",
    "unix socket by path": _SENT + "socket.socket(socket.AF_UNIX).connect(UNIX_PATH)\nwon()",
    "abstract unix socket": _SENT + "socket.socket(socket.AF_UNIX).connect('\\0' + UNIX_NAME)\nwon()",
    "unix datagram": _SENT + "socket.socket(socket.AF_UNIX, 2).sendto(b'x', '\\0' + UNIX_NAME)\nwon()",
}

_FORBIDDEN: dict[str, str | tuple[str, ...]] = {
    "listen": _SENT + "s = socket.socket()\ns.bind(('0.0.0.0', 0))\ns.listen()\nwon()",
    "names through the system": _SENT + "won(socket.getaddrinfo('example.com', 80))",
    "netlink": _SENT + "s = socket.socket(16, 3, 0)\ns.bind((0, 0))\nwon()",
    "raw": _SENT + "socket.socket(2, 3, 1)\nwon()",
    "packets": _SENT + "socket.socket(17, 3)\nwon()",
    "vsock": _SENT + "s = socket.socket(40, 1)\ns.connect((2, 1))\nwon()",
    "families without end": _SENT + "attempt(*[lambda f=f: socket.socket(f, 1) for f in range(1, 46)])",
    "crypto of the kernel": _SENT + "s = socket.socket(38, 5)\ns.bind(('hash', 'sha256'))\nwon()",
    "a listener in the logging package": "import logging.config\nlogging.config.listen(0).start()\nwon()",
}

ATTACKS = (*attacks("network", _REACHED), *attacks("network", _FORBIDDEN, forbidden=True))
