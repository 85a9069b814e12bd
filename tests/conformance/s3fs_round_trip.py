"""s3fs, by which pandas, Dask and others read and write: files with seeks, globs, walks, moves, copies, versions and links."""

import os
import ssl
import urllib.request

import fsspec
import s3
import s3fs

BUCKET = "s3fs"
PART = 5 << 20


def filesystem(**more):
    settings = {"endpoint_url": s3.ENDPOINT, "verify": s3.CA} if s3.CA else {"endpoint_url": s3.ENDPOINT}
    return s3fs.S3FileSystem(
        key=s3.ACCESS_KEY,
        secret=s3.SECRET_KEY,
        client_kwargs=settings,
        config_kwargs={"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 0}},
        default_block_size=PART,
        skip_instance_cache=True,
        **more,
    )


fs = filesystem()


def files():
    body = s3.content(2 * PART + 777)
    with fs.open(f"{BUCKET}/files/large", "wb") as file:
        # Writes that do not fall on the edges of parts.
        for at in range(0, len(body), 1_000_003):
            file.write(body[at : at + 1_000_003])
    assert fs.info(f"{BUCKET}/files/large")["ETag"].endswith('-2"'), fs.info(f"{BUCKET}/files/large")
    assert fs.size(f"{BUCKET}/files/large") == len(body)
    assert fs.cat(f"{BUCKET}/files/large") == body
    with fs.open(f"{BUCKET}/files/large", "rb", block_size=65536, cache_type="readahead") as file:
        for place, length in ((0, 1), (PART - 3, 7), (131070, 4), (len(body) - 5, 100), (17, 200_000)):
            file.seek(place)
            assert file.read(length) == body[place : place + length], (place, length)
        file.seek(-9, os.SEEK_END)
        assert file.read() == body[-9:]
    wanted = [f"{BUCKET}/files/large"] * 3
    assert fs.cat_ranges(wanted, [0, PART - 1, 70_000], [10, PART + 1, 70_000 + 65536]) == [
        body[0:10],
        body[PART - 1 : PART + 1],
        body[70_000 : 70_000 + 65536],
    ]
    assert fs.cat_file(wanted[0], start=-4) == body[-4:]

    # More behind what is there: behind a small one by reading it, behind a large one by a copy as the first part.
    for name, first in (("small", b"first,"), ("appended", body)):
        with fs.open(f"{BUCKET}/files/{name}", "wb") as file:
            file.write(first)
        with fs.open(f"{BUCKET}/files/{name}", "ab") as file:
            file.write(b"second")
        assert fs.cat(f"{BUCKET}/files/{name}") == first + b"second", name

    with fs.open(f"{BUCKET}/files/lines", "w", encoding="utf-8") as file:
        file.write("ä\nö\n")
    with fs.open(f"{BUCKET}/files/lines", "r", encoding="utf-8") as file:
        assert list(file) == ["ä\n", "ö\n"]
    try:
        fs.open(f"{BUCKET}/files/missing", "rb")
        raise AssertionError("a missing file was opened")
    except FileNotFoundError:
        pass
    with fs.transaction:
        with fs.open(f"{BUCKET}/files/at the end", "wb") as file:
            file.write(b"x")
        assert not filesystem().exists(f"{BUCKET}/files/at the end")
    assert fs.exists(f"{BUCKET}/files/at the end")


def names():
    keys = ["names/a b+c&d=e#f%41.txt", "names/äöü €/日本語", "names/deep/er/one.csv", "names/deep/two.csv", "names/{x}.csv"]
    fs.pipe({f"{BUCKET}/{key}": key.encode() for key in keys})
    assert fs.find(f"{BUCKET}/names") == [f"{BUCKET}/{key}" for key in sorted(keys)]
    assert {path: data.decode() for path, data in fs.cat(fs.find(f"{BUCKET}/names")).items()} == {
        f"{BUCKET}/{key}": key for key in keys
    }
    assert fs.glob(f"{BUCKET}/names/**/*.csv") == [f"{BUCKET}/{key}" for key in sorted(keys) if key.endswith("csv")]
    assert fs.glob(f"{BUCKET}/names/*.txt") == [f"{BUCKET}/{keys[0]}"]
    listed = {row["name"]: row["type"] for row in fs.ls(f"{BUCKET}/names", detail=True)}
    assert listed[f"{BUCKET}/names/deep"] == "directory" and listed[f"{BUCKET}/names/{{x}}.csv"] == "file", listed
    assert [folders for _, folders, _ in fs.walk(f"{BUCKET}/names/deep")] == [["er"], []]
    assert fs.du(f"{BUCKET}/names") == sum(len(key.encode()) for key in keys)


def moves():
    # A folder that is only a prefix cannot be moved in one call by s3fs, which takes it for a file as well.
    fs.copy(f"{BUCKET}/names/deep", f"{BUCKET}/moved", recursive=True)
    fs.rm(f"{BUCKET}/names/deep", recursive=True)
    fs.mv(f"{BUCKET}/moved/two.csv", f"{BUCKET}/moved/2 ä.csv")
    assert not fs.exists(f"{BUCKET}/moved/two.csv")
    fs.mv(f"{BUCKET}/moved/2 ä.csv", f"{BUCKET}/moved/two.csv")
    assert fs.find(f"{BUCKET}/moved") == [f"{BUCKET}/moved/er/one.csv", f"{BUCKET}/moved/two.csv"]
    assert not fs.exists(f"{BUCKET}/names/deep")
    # Part by part, as the original was sent, so that the tag stays.
    fs.cp_file(f"{BUCKET}/files/large", f"{BUCKET}/copied", preserve_etag=True)
    assert fs.info(f"{BUCKET}/copied")["ETag"] == fs.info(f"{BUCKET}/files/large")["ETag"]
    assert fs.cat(f"{BUCKET}/copied") == s3.content(2 * PART + 777)
    fs.get(f"{BUCKET}/moved", "tree", recursive=True)
    with open("tree/er/one.csv", "rb") as file:
        assert file.read() == b"names/deep/er/one.csv"
    fs.put("tree", f"{BUCKET}/put", recursive=True)
    assert fs.cat(f"{BUCKET}/put/two.csv") == b"names/deep/two.csv"


def beside():
    path = f"{BUCKET}/beside"
    with fs.open(path, "wb", Metadata={"kind": "first"}, ContentType="text/x-test") as file:
        file.write(b"x")
    assert fs.metadata(path) == {"kind": "first"} and fs.info(path)["ContentType"] == "text/x-test"
    fs.setxattr(path, kind="second")
    assert fs.getxattr(path, "kind") == "second"
    fs.put_tags(path, {"colour": "light blue"})
    assert fs.get_tags(path) == {"colour": "light blue"}
    fs.touch(f"{BUCKET}/touched")
    assert fs.size(f"{BUCKET}/touched") == 0
    context = ssl.create_default_context(cafile=s3.CA) if s3.CA else None
    with urllib.request.urlopen(fs.url(path, expires=60), context=context) as answer:
        assert answer.read() == b"x"


def versions():
    kept = filesystem(version_aware=True)
    kept.mkdir("s3fs-versions")
    kept.make_bucket_versioned("s3fs-versions")
    assert kept.is_bucket_versioned("s3fs-versions")
    for text in (b"first", b"second"):
        with kept.open("s3fs-versions/k", "wb") as file:
            file.write(text)
    second, first = (row["VersionId"] for row in kept.object_version_info("s3fs-versions/k"))
    with kept.open("s3fs-versions/k", "rb", version_id=first) as file:
        assert file.read() == b"first"
    kept.rm_file("s3fs-versions/k")
    assert not kept.exists("s3fs-versions/k")
    # All versions and markers, then the bucket.
    kept.rm("s3fs-versions", recursive=True)
    assert not filesystem().exists("s3fs-versions") and second != first


def refusals():
    nobody = s3fs.S3FileSystem(anon=True, client_kwargs={"endpoint_url": s3.ENDPOINT, "verify": s3.CA or True})
    for error, call in (
        (PermissionError, lambda: nobody.cat(f"{BUCKET}/beside")),
        (FileNotFoundError, lambda: fs.cat("nobody-made-this-one/x")),
        (FileNotFoundError, lambda: fs.info(f"{BUCKET}/missing")),
        (OSError, lambda: fs.pipe_file(f"{BUCKET}/beside", b"y", mode="create")),
    ):
        try:
            call()
        except error:
            continue
        raise AssertionError(f"{error} was expected")
    assert fs.cat(f"{BUCKET}/beside") == b"x"


def main():
    assert not fs.exists(BUCKET)
    fs.mkdir(BUCKET)
    for part in (files, names, moves, beside, versions, refusals):
        part()
    fs.rm(BUCKET, recursive=True)
    assert not filesystem().exists(BUCKET)
    assert "s3" in fsspec.available_protocols()


main()
