"""`hssadmin` and `cloudianapi`, the clients that operators of a HyperStore use, drive the Admin API."""

import base64
import os

# hssadmin is from the days when this function had its old name.
base64.encodestring = base64.encodebytes

import hssadmin.adminclient as hssadmin  # noqa: E402
from cloudianapi.client import CloudianAPIClient  # noqa: E402

URL, USER, PASSWORD = os.environ["ADMIN_URL"], os.environ["ADMIN_USER"], os.environ["ADMIN_PASSWORD"]
GROUP = "GROUP-Z"
USERS = """userId,userType,fullName,emailAddr,address1,address2,city,state,zip,country,phone,groupId,website,active
two,User,Zed Two,,,,,,,,,GROUP-Z,,
three,User,,,,,,,,,,GROUP-Z,,true
"""


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def by_hssadmin():
    (kind,) = {one for one in vars(hssadmin).values() if isinstance(one, type) and hasattr(one, "users_list")}
    h = kind(URL.rstrip("/") + "/", user=USER, passwd=PASSWORD)
    one = {"userId": "one", "groupId": GROUP}
    h.group_add({"groupId": GROUP, "groupName": "Zed"})
    equal(h.group_list({}, groupId=GROUP)["groupName"], "Zed")
    h.user_add({**one, "userType": "User", "fullName": "Zed One"})
    with open("users.csv", "w", encoding="utf-8") as file:
        file.write(USERS)
    h.user_add(file="users.csv")
    equal({user["userId"] for user in h.users_list({}, groupId=GROUP)}, {"one", "two", "three"})
    equal(h.user_list({}, **one)["fullName"], "Zed One")
    h.userpasswd_set({**one, "password": "Pass1word!x"})

    h.user_deactivate({}, **one)
    equal(str(h.user_list({}, **one)["active"]).lower(), "false")
    h.user_activate({}, **one)
    equal(str(h.user_list({}, **one)["active"]).lower(), "true")

    made = h.s3credential_add({}, **one)
    listed = h.s3credentials_all_list({}, **one)
    assert made["accessKey"] in {key["accessKey"] for key in listed}, listed
    h.s3credential_import({**one, "accessKey": "AAAABBBBCCCCDDDDEEEE", "secretKey": "PmyPmyPmyPmyPmyPmy"})
    equal(h.secretkey_list({}, accessKey="AAAABBBBCCCCDDDDEEEE"), "PmyPmyPmyPmyPmyPmy")
    h.accesskey_deactivate({}, accessKey="AAAABBBBCCCCDDDDEEEE")
    active = {key["accessKey"] for key in h.s3credentials_active_list({}, **one)}
    assert "AAAABBBBCCCCDDDDEEEE" not in active and made["accessKey"] in active, active
    h.accesskey_activate({}, accessKey="AAAABBBBCCCCDDDDEEEE")
    assert "AAAABBBBCCCCDDDDEEEE" in {key["accessKey"] for key in h.s3credentials_active_list({}, **one)}

    h.group_deactivate({}, groupId=GROUP)
    equal(str(h.group_list({}, groupId=GROUP)["active"]).lower(), "false")
    h.group_activate({}, groupId=GROUP)
    h.user_delete({}, userId="two", groupId=GROUP, deactive_only=False)
    equal({user["userId"] for user in h.users_list({}, groupId=GROUP)}, {"one", "three"})
    assert GROUP in {group["groupId"] for group in h.groups_list({})}
    assert h.sys_version({})


def by_cloudianapi():
    scheme, rest = URL.split("://")
    host, port = rest.rsplit(":", 1)
    c = CloudianAPIClient(f"{scheme}://{host}", int(port), USER, PASSWORD)
    one = {"userId": "one", "groupId": GROUP}
    assert c.system.version()
    assert GROUP in {group["groupId"] for group in c.group.list()}
    equal(c.user(**one)["fullName"], "Zed One")
    listed = c.user.list(groupId=GROUP, userType="all", userStatus="active")
    equal({user["userId"] for user in listed}, {"one", "three"})
    keys = {key["accessKey"] for key in c.user.credentials.list(**one)}
    assert "AAAABBBBCCCCDDDDEEEE" in keys, keys
    c.user.credentials.status(accessKey="AAAABBBBCCCCDDDDEEEE", isActive=False, method="POST")
    assert not c.user.credentials(accessKey="AAAABBBBCCCCDDDDEEEE")["active"]
    c.user.credentials(accessKey="AAAABBBBCCCCDDDDEEEE", method="DELETE")
    assert "AAAABBBBCCCCDDDDEEEE" not in {key["accessKey"] for key in c.user.credentials.list(**one)}

    c.group(json={"groupId": "cap", "groupName": "Cap", "active": True}, method="PUT")
    equal(c.group(groupId="cap")["groupName"], "Cap")
    c.group(groupId="cap", method="DELETE")
    assert "cap" not in {group["groupId"] for group in c.group.list()}
    (usage,) = [row for row in c.system.bucketusage(groupId=GROUP) if row["userId"] == "one"] or [None]
    assert usage is None or usage["buckets"] == [], usage
    # A group with users stays.
    c.group(groupId=GROUP, method="DELETE")
    assert GROUP in {group["groupId"] for group in c.group.list()}


by_hssadmin()
by_cloudianapi()
