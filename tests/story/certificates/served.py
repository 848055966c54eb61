"""what handshakes show follows the domains' certificates, clients are asked for theirs, and HTTP leads to HTTPS"""
import http.client
import json
import socket
import ssl
import tempfile
import urllib.parse

from authority import Authority

SERVED = True


def calls(world, host, identity=None, path="/a"):
    """Over TLS by that SNI and Host: the certificate that was shown (DER), status, error code."""
    url = urllib.parse.urlsplit(world.data_url("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as held:
            held.write("\n".join(identity))
            held.flush()
            context.load_cert_chain(held.name)
    with socket.create_connection((url.hostname, url.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            shown = tls.getpeercert(binary_form=True)
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            reply = http.client.HTTPResponse(tls)
            reply.begin()
            content = reply.read()
    return shown, reply.status, json.loads(content).get("error_code") if reply.status >= 400 else None


def der(pair):
    return ssl.PEM_cert_to_DER_cert(pair[0])


def story(world):
    world.group("g")
    world.api("a")
    top = world.uid.replace("_", "-") + ".example.com"
    group, certificates = f"/api-groups/{world.names['g']['id']}", f"/v2/{world.project}/apigw/certificates"
    with Authority("first") as authority:
        one = authority.issue("one", names=f"DNS:www.{top},DNS:*.{top}")
        two = authority.issue("two", names=f"DNS:www.{top},DNS:*.{top}")
        made = world.want(200, "POST", certificates, {"name": f"c{world.uid}", "cert_content": one[0], "private_key": one[1]})
        body = {"name": f"c{world.uid}", "cert_content": two[0], "private_key": two[1]}
        paths = {}
        for name in (f"www.{top}", f"*.{top}"):
            domain = world.want(201, "POST", f"{group}/domains", {"url_domain": name, "is_http_redirect_to_https": name[0] == "w"})
            paths[name] = f"{group}/domains/{domain['id']}"
        world.publish("a")
        default = calls(world, f"www.{top}")
        assert default[1:] == (200, None) and default[0] not in (der(one), der(two))
        assert world.call("GET", "/a", 1, headers={"Host": f"www.{top}"}).status == 200  # nothing to be shown there yet

        world.want(204, "POST", f"{certificates}/{made['id']}/domains/attach", {"domains": [{"domain": name} for name in paths]})
        world.settle("a")
        for host in (f"www.{top}", f"x.{top}", f"y.x.{top}"):
            assert calls(world, host) == (der(one), 200, None), host
        sent = world.call("GET", "/a?x=1", 1, headers={"Host": f"www.{top}"})
        assert sent.status == 301 and sent.headers["location"].startswith(f"https://www.{top}"), sent
        assert world.call("GET", "/a", 2, headers={"Host": f"x.{top}"}).status == 200

        # A renewed one is shown at once; one with an authority asks clients for theirs.
        world.want(200, "PUT", f"{certificates}/{made['id']}", body)
        world.settle("a")
        assert calls(world, f"x.{top}") == (der(two), 200, None)
        world.want(200, "PUT", f"{certificates}/{made['id']}", {**body, "trusted_root_ca": authority.certificate})
        world.want(201, "PUT", paths[f"www.{top}"], {"min_ssl_version": "TLSv1.2", "verified_client_certificate_enabled": True})
        world.settle("a")
        with Authority("second") as stranger:
            for identity, wanted in ((None, (400, "APIG.0205")), (stranger.issue("client"), (400, "APIG.0205")),
                                     (authority.issue("client"), (200, None))):
                assert calls(world, f"www.{top}", identity)[1:] == wanted, wanted
        assert calls(world, f"x.{top}")[1] == 200

        # Unbound, and a domain that goes: the node's own again.
        world.want(204, "POST", f"{paths[f'*.{top}']}/certificates/detach", {"certificate_ids": [made["id"]]})
        world.settle("a")
        assert calls(world, f"x.{top}") == (default[0], 200, None)
        world.want(204, "DELETE", paths[f"www.{top}"])
        world.settle("a")
        assert calls(world, f"www.{top}") == (default[0], 200, None)
        world.want(204, "DELETE", f"{certificates}/{made['id']}")
