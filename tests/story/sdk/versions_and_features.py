"""the stock SDK drives variables, versions, features, quantities, labels and lists of addresses; no field is lost"""
from huaweicloudsdkapig.v2 import ApigClient
from huaweicloudsdkapig.v2 import model as m
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig

RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"


def client(world):
    credentials = BasicCredentials(world.env["SLUICE_AK"], world.env["SLUICE_SK"], world.project)
    return (ApigClient.new_builder().with_credentials(credentials)
            .with_endpoints([world.env["SLUICE_ENDPOINT"]]).with_http_config(HttpConfig()).build())


def refused(status, code, call, request):
    try:
        call(request)
    except ClientRequestException as fault:
        assert (fault.status_code, fault.error_code) == (status, code), fault
        return
    raise AssertionError(f"{request} was not refused with {code}")


def whole(world, path, parsed):
    """The reply as the SDK parsed it has every field of the reply itself."""
    raw = world.want(200, "GET", path)
    known = parsed.to_dict()
    lost = [name for name in raw if known.get(name) is None]
    assert not lost, (path, lost)


def variables(world, sdk):
    i, group = world.instance, world.names["g"]["id"]
    made = sdk.create_environment_variable_v2(m.CreateEnvironmentVariableV2Request(
        instance_id=i, body=m.EnvVariableCreate(group_id=group, env_id=RELEASE, variable_name="host",
                                                variable_value="a.example")))
    sdk.update_environment_variable_v2(m.UpdateEnvironmentVariableV2Request(
        instance_id=i, env_variable_id=made.id, body=m.EnvVariableBase(variable_value="b.example")))
    shown = sdk.show_details_of_environment_variable_v2(
        m.ShowDetailsOfEnvironmentVariableV2Request(instance_id=i, env_variable_id=made.id))
    assert (shown.variable_name, shown.variable_value) == ("host", "b.example"), shown
    whole(world, f"/env-variables/{made.id}", shown)
    listed = sdk.list_environment_variables_v2(m.ListEnvironmentVariablesV2Request(instance_id=i, group_id=group))
    assert listed.total == 1 and listed.variables[0].id == made.id, listed
    sdk.delete_environment_variable_v2(
        m.DeleteEnvironmentVariableV2Request(instance_id=i, env_variable_id=made.id))
    refused(404, "APIG.3011", sdk.show_details_of_environment_variable_v2,
            m.ShowDetailsOfEnvironmentVariableV2Request(instance_id=i, env_variable_id=made.id))


def versions(world, sdk):
    i, api, first = world.instance, world.names["a"]["id"], world.names["a"]["version_id"]
    world.publish("a")
    listed = sdk.list_api_versions_v2(m.ListApiVersionsV2Request(instance_id=i, api_id=api, env_id=RELEASE))
    assert [version.status for version in listed.api_versions] == [1, 2], listed
    served = sdk.change_api_version_v2(m.ChangeApiVersionV2Request(
        instance_id=i, api_id=api, body=m.ApiVersion(version_id=first)))
    assert served.version_id == first and served.publish_id == world.names["a"]["publish_id"], served
    shown = sdk.list_api_version_detail_v2(m.ListApiVersionDetailV2Request(instance_id=i, version_id=first))
    whole(world, f"/apis/versions/{first}", shown)
    runtime = sdk.list_api_runtime_definition_v2(m.ListApiRuntimeDefinitionV2Request(instance_id=i, api_id=api))
    assert runtime.run_env_id == RELEASE and runtime.req_uri == "/a", runtime
    whole(world, f"/apis/runtime/{api}", runtime)
    refused(400, "APIG.3202", sdk.check_apis_v2, m.CheckApisV2Request(
        instance_id=i, body=m.ApiCheckInfoV2(type="name", name=world.names["a"]["name"])))
    sdk.delete_api_by_version_id_v2(m.DeleteApiByVersionIdV2Request(instance_id=i, version_id=first))
    refused(404, "APIG.3015", sdk.list_api_runtime_definition_v2,
            m.ListApiRuntimeDefinitionV2Request(instance_id=i, api_id=api))


def features(world, sdk):
    i = world.instance
    made = sdk.create_feature_v2(m.CreateFeatureV2Request(instance_id=i, body=m.FeatureToggle(
        name="ratelimit", enable=True, config='{"api_limits": 500}')))
    listed = sdk.list_features_v2(m.ListFeaturesV2Request(instance_id=i))
    assert [(one.id, one.config) for one in listed.features] == [(made.id, '{"api_limits": 500}')], listed
    names = sdk.list_instance_features(m.ListInstanceFeaturesRequest(instance_id=i, limit=500))
    assert "ratelimit" in names.features, names
    refused(412, "APIG.3458", sdk.create_feature_v2, m.CreateFeatureV2Request(
        instance_id=i, body=m.FeatureToggle(name="lts", enable=True, config="{}")))


def counted(world, sdk):
    i, app = world.instance, world.names["p"]["id"]
    apis = sdk.list_api_quantities_v2(m.ListApiQuantitiesV2Request(instance_id=i))
    assert (apis.instance_num, apis.nums_on_release) == (1, 1), apis
    assert sdk.list_api_groups_quantities_v2(m.ListApiGroupsQuantitiesV2Request(instance_id=i)).onsell_nums == 2
    assert sdk.list_app_quantities_v2(m.ListAppQuantitiesV2Request(instance_id=i)).unauthed_nums == 1
    assert sdk.list_tags_v2(m.ListTagsV2Request(instance_id=i)).tags == ["web"]
    free = sdk.list_apis_unbinded_to_app_v2(m.ListApisUnbindedToAppV2Request(
        instance_id=i, app_id=app, env_id=RELEASE))
    assert [one.id for one in free.apis] == [world.names["a"]["id"]], free


def addresses(world, sdk):
    i, app = world.instance, world.names["p"]["id"]
    values = ["192.168.0.1", "192.168.0.5-192.168.0.10", "192.168.0.100/28"]
    sdk.update_app_acl(m.UpdateAppAclRequest(instance_id=i, app_id=app, body=m.AppAclCreate(
        app_acl_type="PERMIT", app_acl_values=values)))
    shown = sdk.show_details_of_app_acl(m.ShowDetailsOfAppAclRequest(instance_id=i, app_id=app))
    assert (shown.app_acl_type, shown.app_acl_values) == ("PERMIT", values), shown
    sdk.delete_app_acl(m.DeleteAppAclRequest(instance_id=i, app_id=app))
    shown = sdk.show_details_of_app_acl(m.ShowDetailsOfAppAclRequest(instance_id=i, app_id=app))
    assert shown.app_acl_values == [], shown


def story(world):
    world.group("g")
    world.api("a", auth_type="APP", tags=["web"])
    world.publish("a")
    world.app("p")
    sdk = client(world)
    variables(world, sdk)
    counted(world, sdk)
    versions(world, sdk)
    features(world, sdk)
    addresses(world, sdk)
