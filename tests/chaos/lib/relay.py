"""Delays what goes through it: relay.py DELAY_S LISTEN_ADDRESS PORT=HOST:PORT…

Each port of ours leads to an address; every byte arrives DELAY_S later in either direction, in order,
however many are under way. A stand-in for netem, which not every kernel has.
"""
import asyncio
import sys


async def carry(reader, writer, delay_s):
    """Bytes one way until their end, which is passed on."""
    loop = asyncio.get_running_loop()
    under_way = asyncio.Queue(maxsize=1024)

    async def deliver():
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    arriving = asyncio.ensure_future(deliver())
    try:
        while data := await reader.read(65536):
            await under_way.put((loop.time() + delay_s, data))
        await under_way.put((loop.time() + delay_s, b""))
        await arriving
    except OSError:
        arriving.cancel()
        writer.close()


async def relay(delay_s, address, ways):
    """Serves until ended."""
    async def serve(port, host, target):
        async def accepted(reader, writer):
            try:
                far_reader, far_writer = await asyncio.open_connection(host, target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(carry(reader, far_writer, delay_s),
                                 carry(far_reader, writer, delay_s), return_exceptions=True)
            far_writer.close()
            writer.close()
        return await asyncio.start_server(accepted, address, port)

    servers = [await serve(*way) for way in ways]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main():
    ways = []
    for word in sys.argv[3:]:
        port, _, target = word.partition("=")
        host, _, target_port = target.rpartition(":")
        ways.append((int(port), host, int(target_port)))
    asyncio.run(relay(float(sys.argv[1]), sys.argv[2], ways))


if __name__ == "__main__":
    main()
