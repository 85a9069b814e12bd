"""The CloudStack client `cs` speaks to a CloudStack: its signatures are taken, and wrong ones refused.

Arguments: a JSON list of [command, parameters] to be called as well; prints their answers as a JSON list.
"""

import json
import os
import sys

import cs

ENDPOINT = os.environ["CLOUDSTACK_ENDPOINT"]
KEY, SECRET = os.environ["CLOUDSTACK_KEY"], os.environ["CLOUDSTACK_SECRET"]


def client(secret=SECRET, **settings):
    return cs.CloudStack(endpoint=ENDPOINT, key=KEY, secret=secret, timeout=30, poll_interval=0.2, **settings)


def main():
    c = client()
    domains = c.listDomains(listall="true", fetch_list=True)
    accounts = c.listAccounts(listall="true", fetch_list=True)
    assert {"ROOT/acme", "ROOT/Größe-東京"} <= {domain["path"] for domain in domains}, domains
    assert {"ada", "josé", "東京"} <= {account["name"] for account in accounts}, accounts
    (found,) = client(method="post").listAccounts(listall="true", name="josé", details="min")["account"]
    assert found["name"] == "josé", found
    # Old signatures carry no time.
    assert client(expiration=-1).listCapabilities()["capability"]["cloudstackversion"]
    try:
        client(secret=SECRET[::-1]).listAccounts()
        raise AssertionError("a wrong signature was taken")
    except cs.CloudStackApiException as error:
        assert error.response.status_code == 401, error
    calls = json.loads(sys.argv[1]) if len(sys.argv) > 1 else []
    print(json.dumps([getattr(c, command)(**parameters) for command, parameters in calls]))


main()
