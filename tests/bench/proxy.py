"""proxy: what a proxied request costs, against plain proxy_pass of the same nginx, in interleaved pairs."""
import contextlib

import gateway
import local
import measure
import signer
import stack as stacks
from measure import Candidate, compared

APIS = 100
UNLIMITED = 1_000_000  # a limit that never binds within a window, so that counting is all it costs


def provision(made, backend, apis):
    """APIs of the three kinds over one group; the throttle binds api and app."""
    made.group("g")
    made.app("a")
    made.app_code("c", "a")
    made.throttle("t", time_unit="SECOND", api_call_limits=UNLIMITED, app_call_limits=UNLIMITED)
    for number in range(apis):
        auth = {"auth_type": "NONE"}
        if number in (1, 2):
            auth = {"auth_type": "APP", "auth_opt": {"app_code_auth_type": "HEADER"}}
        made.api(f"b{number}", req_uri=f"/bench/{number}/items", backend_api={
            "url_domain": f"127.0.0.1:{backend}", "req_protocol": "HTTP", "req_method": "GET", "req_uri": "/",
            "timeout": 5000}, **auth)
        made.publish(f"b{number}")
    for name in ("b1", "b2"):
        made.auth("a", name)
        made.binding(name, "t")


def answer(node, request):
    """The body of the answer; None for any but 200."""
    with contextlib.closing(node.connect()) as sock:
        sock.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    return body.decode() if head.startswith(b"HTTP/1.1 200") else None


def proven(node):
    """Whether each member is called, with a signature that the stock signer would make of what arrives."""
    request = local.request(local.SEEN, signed=True, query=local.QUERY)
    stacks.wait_until(lambda: answer(node, request), local.NGINX_S, "a first answer")
    members = set()
    for _ in range(local.MEMBERS):
        member, target, host, date, proof = answer(node, request).split(" ", 4)
        wanted = signer.sign("GET", target, {"Host": host, "X-Sdk-Date": date}, b"", local.KEY, local.SECRET)
        assert proof == wanted["Authorization"], f"{proof} is not {wanted}"
        members.add(member)
    assert len(members) == local.MEMBERS, f"{members} alone were called"
    return node


def candidates(stack, made, bed):
    """What is measured. Plain nginx gets the same request; where that has credentials, the one without them is the base."""
    host = made.names["g"]["sl_domain"]
    held = made.names["a"]
    nginx = measure.tree(stack.pid("nginx-1"))
    measure.pin(nginx, measure.PROXY_CORE)
    quiet = bed.node(local.image(APIS, bed.backend_port), log=False)
    signed = signer.sign("GET", "/bench/2/items", {"Host": host}, b"", held["app_key"], held["app_secret"])
    signed.pop("Host", None)
    bare = bed.replay([local.raw("GET", "/bench/0/items", host)])
    coded = bed.replay([local.raw("GET", "/bench/1/items", host, [("X-Apig-AppCode", made.names["c"]["app_code"])])])
    signed = bed.replay([local.raw("GET", "/bench/2/items", host, signed.items())])
    laden = bed.node(local.laden(APIS, bed.backend_port))
    proving = proven(bed.node(local.proving(APIS, bed.backend_port)))
    all_signed = bed.replay([local.request(2, signed=True, query=local.QUERY)])
    http, tls = f"http://127.0.0.1:{bed.plain_port}/", f"https://127.0.0.1:{bed.tls_port}/"
    own, own_tls = stack.env["SLUICE_DATA_URL"] + "/", stack.env["SLUICE_DATA_TLS_URL"] + "/"

    plain = Candidate("plain http", bed.plain, http, replay=bare)
    plain_signed = Candidate("plain http, signed", bed.plain, http, replay=signed)
    plain_all = Candidate("plain http, signed, query", bed.plain, http, replay=all_signed)
    mapped = compared(Candidate("+ IP list of 100, 5 mapped parameters", laden.pids, f"http://127.0.0.1:{laden.http}/",
                                replay=all_signed), plain)
    everything = compared(Candidate("+ channel of 10 members, signature to the backend", proving.pids,
                                    f"http://127.0.0.1:{proving.http}/", replay=all_signed), plain, 1.50)
    plain_tls = Candidate("plain https", bed.plain, tls, replay=bare)
    plain_coded = Candidate("plain https, AppCode", bed.plain, tls, replay=coded)
    code = compared(Candidate("AppCode + 2 limits", nginx, own_tls, replay=coded), plain_tls, 1.15)
    signature = compared(Candidate("signature + 2 limits", nginx, own, replay=signed), plain, 1.20)
    return [
        plain,
        compared(Candidate("route only", quiet.pids, f"http://127.0.0.1:{quiet.http}/",
                           replay=bed.replay([local.request(0)])), plain, 1.08),
        compared(Candidate("route only + log", nginx, own, replay=bare), plain),
        plain_signed, compared(signature, plain_signed), plain_all, compared(mapped, plain_all),
        compared(everything, plain_all), plain_tls, plain_coded, compared(code, plain_coded),
    ]


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    stack = None
    with local.Bed(options) as bed:
        try:
            stack, made = gateway.start(options.build, options.var / "stack")
            provision(made, bed.backend_port, 3 if options.smoke else APIS)
            rows = candidates(stack, made, bed)
            measure.interleave(rows, options.rounds, options.seconds)
            lines, missed = measure.report(rows, options.slack)
        finally:
            if stack:
                stack.quickstart("clean")
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} rounds of {options.seconds} s a candidate, 64 connections, {APIS} APIs, 128-byte body; proxy "
          f"on core {measure.PROXY_CORE}, load and backend on core {measure.LOAD_CORE}; \"route only\" writes no access log\n")
    print(gateway.table(lines, measure.TITLES))
    return missed
