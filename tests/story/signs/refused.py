"""each type takes keys and secrets of its own form, makes what is missing, and key pairs need their feature; two hundred at most"""
import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# By type: what is taken, and what is one character off.
KEYS = {"hmac": (["a1234567", "9" * 32, "a-_45678"], ["a123456", "a" * 33, "-1234567", "a123456+"]),
        "basic": (["abcd", "a" * 32], ["abc", "a" * 33, "1bcd", "ab+d"]),
        "aes": (["+" * 16, "a!@#$%+/=_-00000"], ["a" * 15, "a" * 32, "=" + "a" * 15, "a" * 15 + ","])}
SECRETS = {"hmac": (["a" * 16, "9!@#$%_-" * 8], ["a" * 15, "a" * 65, "!" * 16, "a" * 15 + "+"]),
           "basic": (["a" * 8, "a" * 64], ["a" * 7, "a" * 65, "-" * 8]),
           "aes": (["a" * 16, "/" * 16], ["a" * 15, "a" * 17, "!" * 16])}


def encoded(key):
    return base64.b64encode(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption())).decode()


class Asker:
    def __init__(self, world):
        self.world, self.count = world, 0

    def __call__(self, status=201, **fields):
        self.count += 1
        return self.world.want(status, "POST", "/signs", {"name": f"s{self.count}_{self.world.uid}", **fields})


def forms(ask):
    for field, cases in (("sign_key", KEYS), ("sign_secret", SECRETS)):
        for kind, (taken, refused) in cases.items():
            more = {"sign_type": kind} | ({"sign_algorithm": "aes-128-cfb"} if kind == "aes" else {})
            for text in taken:
                assert ask(**{field: text}, **more)[field] == text
            for text in refused:
                fault = ask(400, **{field: text}, **more)
                assert fault["error_code"] == "APIG.2011" and field in fault["error_msg"], (kind, text, fault)


def algorithms(ask):
    assert ask(400, sign_type="aes")["error_code"] == "APIG.2001"
    assert "sign_algorithm" in ask(400, sign_algorithm="aes-128-cfb")["error_msg"]
    made = ask(sign_type="aes", sign_algorithm="aes-256-cfb")
    assert (len(made["sign_key"]), len(made["sign_secret"])) == (32, 16), made
    change = {"name": made["name"], "sign_algorithm": "aes-128-cfb"}
    made = ask.world.want(200, "PUT", f"/signs/{made['id']}", change)
    assert (len(made["sign_key"]), len(made["sign_secret"]), made["sign_algorithm"]) == (16, 16, "aes-128-cfb"), made
    made = ask.world.want(200, "PUT", f"/signs/{made['id']}", {"name": made["name"], "sign_type": "hmac"})
    assert "sign_algorithm" not in made and len(made["sign_key"]) == 32, made


def pairs(ask):
    world = ask.world
    fault = ask(412, sign_type="public_key")
    assert fault["error_code"] == "APIG.3548", fault
    assert fault["error_msg"] == f"sign_type=public_key not supported by instance {world.instance}", fault
    world.feature("public_key", {"enable": "on"})
    made = ask(sign_type="public_key")
    key = serialization.load_der_private_key(base64.b64decode(made["sign_secret"]), None)
    assert key.key_size == 2048, made
    own = made["sign_secret"]
    assert ask(400, sign_type="public_key", sign_key=made["sign_key"], sign_secret=own)["error_code"] == "SLUICE.0309"
    assert ask(sign_key=made["sign_key"])["sign_type"] == "hmac"  # of another type it is another thing
    assert ask(sign_type="public_key", sign_key="+/=_-aB9", sign_secret=own)["sign_secret"] == own
    for secret in ("a" * 16, encoded(ec.generate_private_key(ec.SECP256R1())), encoded(rsa.generate_private_key(65537, 1024))):
        assert "sign_secret" in ask(400, sign_type="public_key", sign_secret=secret)["error_msg"], secret


def others(world):
    for body, code in (({}, "APIG.2001"), ({"name": "1ab"}, "APIG.2011"), ({"name": "ab"}, "APIG.2011"), ({"name": "abc", "sign_type": "rsa"}, "APIG.2011"),
                       ({"name": "abc", "sign_algorithm": "aes"}, "APIG.2011"), ({"name": "abc", "sign_key": 5}, "APIG.2011")):
        assert world.want(400, "POST", "/signs", body)["error_code"] == code, body
    world.stack.admin("gateway", "set", world.instance, "quota_signs=1")
    ask = Asker(world)
    ask.count = 1000
    assert ask(403)["error_code"] == "APIG.3105"


def story(world):
    ask = Asker(world)
    forms(ask)
    algorithms(ask)
    pairs(ask)
    others(world)
