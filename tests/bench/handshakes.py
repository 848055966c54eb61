"""handshakes: CPU of a full handshake with a certificate of the live image, beside nginx's static one.

TLS 1.3, P-256, no session is resumed. The image has 5,000 domains with a certificate each; a first pass over all of them
has the worker parse them, so that what is counted is the warm cost. The one certificate that plain nginx has is theirs,
too, by the bytes; a node parses and keeps it 5,000 times.
"""
import base64
import os
import pathlib
import socket
import ssl
import statistics

import cold
import gateway
import local
import measure
from module_node import hex_id

ROUND = 400  # handshakes of a candidate and round
BUDGET = 1.10
CERTIFICATE = 0x30000000  # the first one's id


def name(number):
    return f"d{number}.bench.example.net"


def image(bed, count):
    """Domains of one group, each with a certificate of its own."""
    content = local.image(1, bed.backend_port)
    chain = [ssl.PEM_cert_to_DER_cert(bed.cert.read_text()).hex()]
    key = "".join(bed.key.read_text().splitlines()[1:-1])
    content["certificates"] = [{"id": hex_id(CERTIFICATE + n), "chain": chain, "key": base64.b64decode(key).hex()}
                               for n in range(count)]
    content["hosts"] += [{"name": name(n), "group_id": hex_id(1), "certificates": [hex_id(CERTIFICATE + n)]}
                         for n in range(count)]
    return content


def client():
    """Knows no authority and keeps no session."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode, made.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3
    return made


def shake(port, names, context):
    """A handshake for each name."""
    for one in names:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30), server_hostname=one):
            pass


def spent(pids, port, names, context):
    """CPU microseconds of these processes for each handshake."""
    before = cold.cpu_us(pids)
    shake(port, names, context)
    return (cold.cpu_us(pids) - before) / len(names)


def run(options):
    """Prints the table; answers the rows that missed their budget."""
    count, context, lines = options.certificates, client(), []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(measure.LOAD_CORE)})
    with local.Bed(options) as bed:
        node = bed.node(image(bed, count), log=False)
        before = resident(node.pids)
        shake(node.https, [name(n) for n in range(count)], context)
        grown = (resident(node.pids) - before) / count
        candidates = {"plain: static certificate": (bed.plain, bed.tls_port, name),
                      "the node's own": (node.pids, node.https, lambda n: f"x{n}.example.net"),
                      f"one of {count:,}": (node.pids, node.https, name)}
        chosen = [n % count for n in local.some(max(count, ROUND), ROUND)]
        rounds = [[spent(pids, port, [of(n) for n in chosen], context) for pids, port, of in candidates.values()]
                  for _ in range(options.rounds)]
    os.sched_setaffinity(0, cores)
    missed = []
    for number, row in enumerate(candidates):
        ratio = statistics.median(one[number] / one[0] for one in rounds)
        judged = number == len(candidates) - 1
        missed += [row] if judged and ratio > BUDGET * options.slack else []
        lines.append([row, f"{statistics.median(one[number] for one in rounds):.1f}", f"{ratio:.3f}", BUDGET if judged else "-"])
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} rounds of {ROUND} full handshakes a candidate, one after the other, TLS 1.3, P-256; "
          f"{grown:.0f} bytes of a worker a parsed certificate\n")
    print(gateway.table(lines, ["certificate", "us/handshake", "ratio", "budget"]))
    return missed


def resident(pids):
    """Bytes of memory of the processes."""
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")
