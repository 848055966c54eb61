"""a request parameter that is checked admits what its declaration says, row by row"""
SERVED = True
# the declaration, the value sent (None: none), the fault that the refusal names.
ROWS = [
    ({"type": "STRING", "enumerations": "red,green"}, "green", None),
    ({"type": "STRING", "enumerations": "red,green"}, "blue", "not in enumerations"),
    ({"type": "NUMBER"}, "2.5", None), ({"type": "NUMBER"}, "two", "not a number"),
    ({"type": "NUMBER", "min_num": 1, "max_num": 9}, "9", None),
    ({"type": "NUMBER", "min_num": 1, "max_num": 9}, "9.5", "out of range"),
    ({"type": "NUMBER", "min_num": 1, "max_num": 9}, "0", "out of range"),
    ({"type": "NUMBER", "min_num": 0, "max_num": 0}, "-70", None),
    ({"type": "NUMBER", "min_num": 5, "max_num": 0}, "70", None),
    ({"type": "NUMBER", "min_num": 5, "max_num": 0}, "4", "out of range"),
    ({"type": "NUMBER", "min_num": -9, "max_num": 0}, "0", None),
    ({"type": "NUMBER", "min_num": -9, "max_num": 0}, "1", "out of range"),
    ({"type": "NUMBER", "min_num": -9, "max_num": 0}, "-9.5", "out of range"),
    ({"type": "STRING", "min_size": 2, "max_size": 3}, "%C3%A9%C3%A9%C3%A9", None),
    ({"type": "STRING", "min_size": 2, "max_size": 3}, "%C3%A9", "out of range"),
    ({"type": "STRING", "min_size": 2, "max_size": 3}, "abc", None),
    ({"type": "STRING", "min_size": 2, "max_size": 3}, "a", "out of range"),
    ({"type": "STRING", "min_size": 2, "max_size": 3}, "abcd", "out of range"),
    ({"type": "STRING", "min_size": 2, "max_size": 0}, "abcdefgh", None),
    ({"type": "NUMBER", "max_num": 3, "default_value": "7"}, None, "out of range"),
    ({"type": "NUMBER", "max_num": 3}, None, None),
    ({"type": "NUMBER", "max_num": 3, "valid_enable": 2}, "x", None),
]


def story(world):
    world.group("g")
    for number, (declared, value, fault) in enumerate(ROWS):
        name = f"p{number}"
        param = {"name": "p", "location": "QUERY", "valid_enable": 1, "required": 2, **declared}
        world.api(name, req_params=[param])
        world.publish(name)
        reply = world.call("GET", f"/{name}" + (f"?p={value}" if value is not None else ""))
        row = f"{declared} {value}: {reply}"
        if fault is None:
            assert reply.status == 200, row
            continue
        assert reply.status == 400 and reply.json["error_code"] == "APIG.0106", row
        assert reply.json["error_msg"] == f"Orchestration error: Invalid query parameter: p, {fault}", row
    world.api("h", req_uri="/h/{n}", req_params=[
        {"name": "X-P", "location": "HEADER", "type": "STRING", "valid_enable": 1, "enumerations": "red"},
        {"name": "n", "location": "PATH", "type": "NUMBER", "valid_enable": 1}])
    world.publish("h")
    for node in (1, 2, "h2"):
        assert world.call("GET", "/h/7", node, headers={"x-p": "red"}).status == 200
        reply = world.call("GET", "/h/7", node, headers={"X-P": "blue"})
        assert "header parameter: X-P" in reply.json["error_msg"], reply
        reply = world.call("GET", "/h/seven", node)
        assert "path parameter: n, not a number" in reply.json["error_msg"], reply
