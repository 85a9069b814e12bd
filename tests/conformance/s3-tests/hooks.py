"""What `run` adds to pytest: a configuration of its own for each process, and a list of all tests with their markers."""

import json
import os

import pytest

# Each process meets the store as users of its own, so that none sees or removes another one's buckets.
process = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
os.environ["S3TEST_CONF"] = os.path.join(os.environ["S3_TESTS_FOLDER"], f"{process}.conf")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tells all tests that there are, before pytest leaves out those that were not chosen."""
    path = os.environ.get("S3_TESTS_LIST")
    if path and config.option.collectonly:
        markers = {item.name: sorted({mark.name for mark in item.iter_markers()}) for item in items}
        assert len(markers) == len(items), "two tests have the same name"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(markers, file)
