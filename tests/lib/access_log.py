"""The access log of a node: its fields in their order, and the line of a request."""
import re

FIELDS = """remote_addr request_id api_id user_id app_id time_local request_time request_method scheme host router_uri
server_protocol status bytes_sent request_length http_user_agent http_x_forwarded_for upstream_addr upstream_uri
upstream_status upstream_connect_time upstream_header_time upstream_response_time region_id all_upstream_response_time
errorType auth_type access_model1 access_model2 inner_time proxy_protocol_vni proxy_protocol_vpce_id
proxy_protocol_addr body_bytes_sent api_name app_name provider_app_id provider_app_name custom_data_log1
custom_data_log2 custom_data_log3 custom_data_log4 custom_data_log5 custom_data_log6 custom_data_log7 custom_data_log8
custom_data_log9 custom_data_log10 response_source gzip_ratio upstream_scheme group_id apig_err_code
function_urn""".split()
QUOTED = """time_local http_user_agent http_x_forwarded_for upstream_addr upstream_status upstream_connect_time
upstream_header_time upstream_response_time api_name app_name""".split()
ABSENT = dict.fromkeys(FIELDS, "-")
SECONDS = r"\d+\.\d{3}"


def parse(line):
    """The fields of a line by name; refuses what is not 54 fields with the right quotes."""
    words = re.findall(r'"[^"]*"|[^ "]+', line)
    assert " ".join(words) == line and len(words) == len(FIELDS), line
    row = dict(zip(FIELDS, words))
    for name, word in row.items():
        assert word.startswith('"') == (name in QUOTED), f"{name}: {word}"
        row[name] = word.strip('"')
    return row


def find(path, wanted):
    """The newest row that `wanted` holds of; None while there is none."""
    for line in reversed(path.read_text("ascii").splitlines()):
        row = parse(line)
        if wanted(row):
            return row
    return None


def differences(row, expected):
    """Fields that are not as expected: a text, or a compiled pattern for the whole of it."""
    return [f"{name}: {row[name]!r} instead of {expected[name]!r}" for name in FIELDS
            if not (expected[name].fullmatch(row[name]) if hasattr(expected[name], "fullmatch")
                    else row[name] == expected[name])]
