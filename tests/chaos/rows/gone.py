"""The whole control plane, and PostgreSQL: architecture §9, its middle rows."""
import client
from row import Row
from stack import wait_until

CONTROL = ("front", "registry", "identity", "publisher", "throttle", "bus", "postgres")


def control_plane(scene, meanwhile=None):
    """Everything but nodes and balancers ends; a node restarts without it; then all comes back."""
    units = [unit for kind in CONTROL for unit in scene.cluster.kind(kind)]
    for unit in units:
        unit.stop()
    wait_until(lambda: not lone_front(scene), 5, "the balancer to see that no front is there")
    for name in ("node-1", "nginx-1"):
        scene.unit(name).stop()
    for path in scene.unit("node-1").host.shared_memory.glob(f"sluice-node-1-{scene.cluster.id}*"):
        path.unlink()  # as after a reboot
    for name in ("node-1", "nginx-1"):
        scene.unit(name).start()
    wait_until(scene.unit("nginx-1").serves, 30, "the node alone to be ready")
    (meanwhile or (lambda: scene.lasts(2)))()
    # A front whose buses are gone answers, with the error body.
    front = scene.unit("front-1")
    front.start()
    wait_until(lambda: lone_front(scene) == 503, 20, "503 of a lone front")
    scene.healed()
    for unit in reversed(units):
        if unit is not front:
            unit.start()


def lone_front(scene):
    """The status of a front, asked itself, if it answers with the documented body."""
    address = scene.unit("front-1").host.address
    try:
        reply = client.request(f"https://{address}:7443", "GET", "/v2/p/apigw/instances/i/apis",
                               {"X-Auth-Token": "none"}, timeout=5)
    except (OSError, client.http.client.HTTPException):
        return None
    return reply.status if "error_code" in (reply.json or {}) else None


ROWS = [
    # Whoever is connected to a node that stops is served to the end: the balancer goes elsewhere.
    Row("the whole control plane stops, a node restarts", control_plane, refused_calls=100,
        whole_s=30, least_units=50),
    Row("kill -9 of PostgreSQL", lambda scene: scene.kill("postgres-1"), refused_calls=20,
        whole_s=30),
]
