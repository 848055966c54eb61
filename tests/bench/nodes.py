"""How many nodes a bench's gateway has: two are the quickstart's, others run beside them (fleet.py), and each can leave for good."""
import fleet
import gateway  # noqa: F401, puts tests/lib on the path
import local
import stack as stacks

SETTLED_S = 60  # until accounting lets all nodes divide by a new number


class Nodes:
    """The nodes of a deployment's gateway; as a context, it ends those that it started."""

    def __init__(self, stack, world):
        self.stack, self.world, self.ports = stack, world, local.free_ports()
        self.running = [fleet.Node(self, number) for number in fleet.MODULE_NODES]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.running:
            if node.own:
                node.stop()

    def become(self, count):
        """Adds or removes nodes until there are `count`, and waits until all of them serve and divide limits by so many."""
        while len(self.running) < count:
            self._add(len(self.running) + 1)
        while len(self.running) > count:
            self._remove()
        path = f"/v2/{self.world.project}/sluice/instances/{self.world.instance}/nodes"

        def are_all_there():
            states = [node.state / "limits.state" for node in self.running]
            nodes = self.world.want(200, "GET", path)["nodes"]
            return (len(nodes) == count and all(node["health"] == "ready" for node in nodes) and
                    all(state.exists() and state.read_text().strip() == str(count) for state in states))
        stacks.wait_until(are_all_there, SETTLED_S, f"{count} nodes")

    def _add(self, number):
        node = fleet.Node(self, number)
        self.running.append(node)
        node.start()
        stacks.wait_until(node.ready, fleet.START_S, f"{node.name} to serve")
        self.world.more_nodes[number] = node.url

    def _remove(self):
        node = self.running.pop()
        node.stop()
        self.stack.admin("node", "remove", node.name, "--allow", self.stack.var / "allow")
