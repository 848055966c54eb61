"""a backend that is restricted, has no address or speaks no HTTP is told apart"""
import contextlib
import socket
import threading

from stack import wait_until

SERVED = True
TOLERATES = (r"does not resolve.*nowhere\.invalid",)
RESTRICTED = "192.0.2.0/24"  # for documentation: no other story calls it
# A header larger than any buffer: HTTP by its first line only.
NOT_HTTP = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70000 + b"\r\n\r\n"


def answer_all(listener):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(NOT_HTTP)


def story(world):
    world.stack.admin("gateway", "set", world.instance, f"restrict_cidrs={RESTRICTED}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
        world.group("g")
        world.api("denied", backend={"url_domain": "192.0.2.7:80"})
        world.api("nowhere", backend={"url_domain": "nowhere.invalid"})
        world.api("garbled", backend={"url_domain": f"127.0.0.1:{listener.getsockname()[1]}"})
        expected = {"denied": (403, "APIG.0404"), "nowhere": (500, "APIG.0605"),
                    "garbled": (502, "APIG.0202")}
        for name in expected:
            world.publish(name)
        for name, (status, code) in expected.items():
            for node in (1, 2):
                def seen(name=name, node=node):
                    reply = world.call("GET", f"/{name}", node)
                    return reply.status, (reply.json or {}).get("error_code")
                # Settings have no wait_ms; a name server may take its time to know nothing.
                wait_until(lambda: seen() == (status, code), 30, f"{name} {code}: {seen()}")
        listener.shutdown(socket.SHUT_RDWR)
    world.stack.admin("gateway", "set", world.instance, "restrict_cidrs=")
