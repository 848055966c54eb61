"""changes, start, websockets, fleet: benches that want one large deployment; `fleet` has the three of them on the same one.

A part has: sizes (numbers of APIs at which it looks), nodes (that it wants), around() entered before anything starts, begin(bed),
at(bed, count) at each of its sizes, end(bed) at the last one, text() of its tables, and `missed`.
"""
import contextlib

import changes
import fleet
import gateway
import start
import tunnels

PARTS = {"changes": [changes.Part], "start": [start.Part], "websockets": [tunnels.Part],
         "fleet": [start.Part, changes.Part, tunnels.Part]}


def play(bed, parts):
    """Grows the deployment; each part looks at its sizes. The order of parts is that of PARTS: start's worker comes first."""
    while len(bed.nodes) < max(part.nodes for part in parts):
        bed.add_node()
    for part in parts:
        part.begin(bed)
    for count in sorted({count for part in parts for count in part.sizes}):
        bed.fill(count)
        for part in parts:
            if count in part.sizes:
                part.at(bed, count)
    for part in parts:
        part.end(bed)


def run(options):
    """Prints the parts' tables; answers what missed its budget."""
    parts = [kind(options) for kind in PARTS[options.what]]
    with contextlib.ExitStack() as around:
        for part in parts:
            around.enter_context(part.around())
        play(around.enter_context(fleet.Fleet(options)), parts)
    print(gateway.heading(options.build))
    for part in parts:
        print(part.text())
    return [line for part in parts for line in part.missed]
