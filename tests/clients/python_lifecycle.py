"""The official Python client through its whole life cycle against one address.

    python_lifecycle.py URL [--reset]

`--reset`: the server allows reset, and everything on it may be deleted. Explicit embeddings only.
"""

import secrets
import sys
from urllib.parse import urlparse

import chromadb
from chromadb.config import Settings

from transcript import Transcript

URL = sys.argv[1]
RESET = "--reset" in sys.argv[2:]
RUN = f"run{secrets.token_hex(6)}"
T = Transcript(RUN)


def client(**place):
    address = urlparse(URL)
    settings = Settings(anonymized_telemetry=False)
    return chromadb.HttpClient(host=address.hostname, port=address.port, settings=settings, **place)


def admin():
    address = urlparse(URL)
    settings = Settings(
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=address.hostname,
        chroma_server_http_port=address.port,
        anonymized_telemetry=False,
    )
    return chromadb.AdminClient(settings)


def server() -> None:
    """What the server says of itself."""
    c = client()
    T.hold("heartbeat in nanoseconds", isinstance(c.heartbeat(), int) and c.heartbeat() > 10**18)
    T.step("version", c.get_version(), "1.0.0")
    T.step("max batch size from pre-flight", c.get_max_batch_size(), 5461)
    identity = vars(c.get_user_identity())
    T.step("identity", [identity[key] for key in ("user_id", "tenant", "databases")],
           ["", "default_tenant", ["default_database"]])


def places() -> None:
    """Tenants and databases."""
    a = admin()
    a.create_tenant(RUN)
    T.step("get tenant", a.get_tenant(RUN), {"name": RUN})
    T.refused("tenant twice", "ChromaError", "already exists", lambda: a.create_tenant(RUN))
    T.refused("tenant missing", "NotFoundError", "not found", lambda: a.get_tenant(f"{RUN}-none"))
    T.step("no databases yet", a.list_databases(tenant=RUN), [])
    for name in ("one", "two", "three"):
        a.create_database(name, tenant=RUN)
    T.refused("database twice", "ChromaError", "already exists", lambda: a.create_database("one", tenant=RUN))
    T.refused("database missing", "NotFoundError", "not found", lambda: a.get_database("none", tenant=RUN))
    T.refused("database name too short", "InvalidArgumentError", "3", lambda: a.create_database("x", tenant=RUN))
    one = a.get_database("one", tenant=RUN)
    T.step("get database", {"name": one["name"], "tenant": one["tenant"]}, {"name": "one", "tenant": RUN})
    names = [database["name"] for database in a.list_databases(tenant=RUN)]
    T.step("list databases", sorted(names), ["one", "three", "two"])
    paged = [a.list_databases(limit=1, offset=offset, tenant=RUN)[0]["name"] for offset in range(3)]
    T.hold("databases page by page", paged == names)
    T.step("databases beyond the end", a.list_databases(limit=5, offset=3, tenant=RUN), [])
    a.delete_database("three", tenant=RUN)
    T.refused("database deleted", "NotFoundError", "not found", lambda: a.get_database("three", tenant=RUN))
    T.refused("database deleted twice", "NotFoundError", "not found", lambda: a.delete_database("three", tenant=RUN))
    T.refused("client of a missing database", "NotFoundError", "not found", lambda: client(tenant=RUN, database="none"))


def described(collection) -> dict:
    return {
        "name": collection.name,
        "id": collection.id,
        "metadata": collection.metadata,
        "tenant": collection.tenant,
        "database": collection.database,
        "configuration": collection.configuration_json,
    }


def collections(c) -> None:
    """Collections of one database."""
    T.step("no collections yet", [c.list_collections(), c.count_collections()], [[], 0])
    red = c.create_collection("red", metadata={"shade": "dark", "n": 1, "x": 1.5, "on": True}, embedding_function=None)
    T.step("create", described(red), lambda got: got["name"] == "red" and got["tenant"] == RUN)
    T.refused("create twice", "ChromaError", "Collection [red] already exists",
              lambda: c.create_collection("red", embedding_function=None))
    again = c.get_or_create_collection("red", metadata={"ignored": 1}, embedding_function=None)
    T.step("get_or_create an existing one", described(again), described(red))
    T.step("get", described(c.get_collection("red", embedding_function=None)), described(red))
    by_id = c.get_collection_by_id(red.id, embedding_function=None)
    T.step("get by id", described(by_id), described(red))
    T.refused("get a missing one", "NotFoundError", "Collection [none] does not exist",
              lambda: c.get_collection("none", embedding_function=None))
    T.refused("bad name", "InvalidArgumentError", "name", lambda: c.create_collection("..", embedding_function=None))
    green = c.get_or_create_collection("green", embedding_function=None,
                                       configuration={"hnsw": {"space": "cosine", "ef_construction": 50}})
    T.step("get_or_create a new one", described(green), lambda got: got["configuration"]["hnsw"]["space"] == "cosine")
    for name in ("add", "get-x", "count1"):
        c.create_collection(name, embedding_function=None)
    listed = [collection.name for collection in c.list_collections()]
    T.step("list", sorted(listed), ["add", "count1", "get-x", "green", "red"])
    T.step("count", c.count_collections(), 5)
    pages = [[one.name for one in c.list_collections(limit=2, offset=offset)] for offset in (0, 2, 4, 6)]
    T.hold("list in pages", sum(pages, []) == listed and [len(page) for page in pages] == [2, 2, 1, 0])

    red.modify(name="crimson", metadata={"only": "this"})
    T.step("modified", described(red), lambda got: got["name"] == "crimson")
    T.step("modified, from the server", described(c.get_collection("crimson", embedding_function=None)),
           lambda got: got["id"] == red.id and got["metadata"] == {"only": "this"})
    T.refused("old name", "NotFoundError", "does not exist", lambda: c.get_collection("red", embedding_function=None))
    T.refused("rename to a taken name", "InternalError", "UNIQUE constraint failed", lambda: red.modify(name="green"))
    green.modify(configuration={"hnsw": {"ef_search": 77}})
    changed = c.get_collection("green", embedding_function=None).configuration_json["hnsw"]["ef_search"]
    T.step("configuration modified", changed, 77)
    reborn = c.create_collection("red", embedding_function=None)
    T.hold("a new collection under a freed name has a new id", reborn.id != red.id)
    reborn.add(ids=["old"], embeddings=[[1, 2]])
    for name in ("red", "add", "get-x", "count1"):
        c.delete_collection(name)
    T.refused("delete a missing one", "NotFoundError", "Collection [red] does not exist",
              lambda: c.delete_collection("red"))
    T.refused("write to a deleted one", "NotFoundError", "does not exist",
              lambda: reborn.add(ids=["late"], embeddings=[[1, 2]]))
    T.refused("read a deleted one", "NotFoundError", "does not exist", reborn.count)
    second = c.create_collection("red", embedding_function=None)
    T.step("the next generation is empty", second.get()["ids"], [])
    second.add(ids=["new"], embeddings=[[1, 2, 3]])
    T.step("and takes another dimension", second.count(), 1)
    c.delete_collection("red")


ALL = ["documents", "metadatas", "embeddings", "uris"]


def records(c) -> None:
    """Records of one collection."""
    box = c.create_collection("box", embedding_function=None)
    T.step("empty", [box.count(), box.get()["ids"], box.peek()["ids"]], [0, [], []])
    T.step("query of an empty one", box.query(query_embeddings=[[1, 2, 3]], n_results=2)["ids"], [[]])
    box.add(
        ids=["a", "b", "c", "d"],
        embeddings=[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.1, -0.0]],
        documents=["the red fox", "the blue sea", "a green tree", "𝄞 ünïcode 🦊"],
        metadatas=[{"n": 1, "k": "x"}, {"n": 2, "k": "y", "f": 1.0}, {"n": 9007199254740993, "b": True}, {"tags": ["p", "q"]}],
        uris=["u:a", "u:b", "u:c", "u:d"],
    )
    T.step("add", box.count(), 4)
    T.step("get everything", box.get(include=ALL), lambda got: got["ids"] == ["a", "b", "c", "d"])
    T.step("default include", box.get(ids=["c", "a"]), lambda got: got["ids"] == ["a", "c"] and got["embeddings"] is None)
    T.step("peek", box.peek(limit=2), lambda got: got["ids"] == ["a", "b"])
    T.step("pages", [box.get(limit=3, offset=offset)["ids"] for offset in (0, 3, 6)], [["a", "b", "c"], ["d"], []])
    box.add(ids=["a", "e"], embeddings=[[9, 9, 9], [0, 0, 2]], documents=["not this", "the fifth"])
    T.step("add of an existing id keeps it", box.get(ids=["a", "e"], include=ALL),
           lambda got: got["documents"] == ["the red fox", "the fifth"])
    box.upsert(ids=["b", "f"], embeddings=[[0, 2, 0], [3, 3, 3]], metadatas=[{"k": "z", "new": 1}, {"n": 6}])
    T.step("upsert merges and inserts", box.get(ids=["b", "f"], include=ALL),
           lambda got: got["metadatas"][0] == {"n": 2, "k": "z", "f": 1.0, "new": 1})
    box.update(ids=["c", "missing"], embeddings=[[0, 0, 1], [1, 1, 1]], documents=["a yellow tree", "nothing"])
    box.update(ids=["c", "missing"], metadatas=[{"b": None, "n": 3}, {"n": 0}])
    T.step("update", box.get(ids=["c", "missing"], include=ALL), lambda got: got["metadatas"] == [{"n": 3}])
    T.step("where", box.get(where={"n": {"$gte": 2}})["ids"], ["b", "c", "f"])
    T.step("where and", box.get(where={"$and": [{"n": 2}, {"k": {"$in": ["z"]}}]})["ids"], ["b"])
    T.step("where in an array", box.get(where={"tags": {"$contains": "p"}})["ids"], ["d"])
    T.step("where_document", box.get(where_document={"$contains": "tree"})["ids"], ["c"])
    T.step("where_document regex", box.get(where_document={"$regex": "^the .*s"})["ids"], lambda got: "b" in got)
    T.step("get with limit and where", box.get(where={"n": {"$gte": 1}}, limit=2, offset=1)["ids"], ["b", "c"])
    found = box.query(query_embeddings=[[1, 0, 0], [0, 0, 1]], n_results=2, include=[*ALL, "distances"])
    T.step("query", found, lambda got: [ids[0] for ids in got["ids"]] == ["a", "c"])
    T.step("query with where", box.query(query_embeddings=[[1, 0, 0]], n_results=9, where={"n": {"$lt": 3}})["ids"], [["a", "b"]])
    T.step("query among ids", box.query(query_embeddings=[[1, 0, 0]], ids=["e", "f"], n_results=9)["ids"], [["e", "f"]])

    T.refused("wrong dimension", "InvalidArgumentError", "expecting embedding with dimension of 3, got 2",
              lambda: box.add(ids=["w"], embeddings=[[1, 2]]))
    T.refused("wrong dimension in a query", "InvalidArgumentError", "dimension of 3, got 2",
              lambda: box.query(query_embeddings=[[1, 2]]))
    T.refused("the same id twice", "DuplicateIDError", "duplicates", lambda: box.add(ids=["w", "w"], embeddings=[[1, 2, 3]] * 2))
    T.refused("unequal lengths", "ValueError", "", lambda: box.add(ids=["w", "v"], embeddings=[[1, 2, 3]]))
    T.refused("empty id", "InvalidArgumentError", "Empty ID", lambda: box.add(ids=[""], embeddings=[[1, 2, 3]]))
    T.refused("reserved metadata key", "InvalidArgumentError", "metadata",
              lambda: box.add(ids=["w"], embeddings=[[1, 2, 3]], metadatas=[{"#k": 1}]))
    T.refused("bad regex", "InvalidArgumentError", "Regex", lambda: box.get(where_document={"$regex": "("}))
    T.refused("limit without where", "ValueError", "limit can only be specified",
              lambda: box.delete(ids=["a"], limit=1))
    T.step("nothing of what was refused is there", box.get()["ids"], ["a", "b", "c", "d", "e", "f"])

    T.step("delete by ids", box.delete(ids=["a", "not-there"]), {"deleted": 2})
    T.step("only that one is gone", box.get()["ids"], ["b", "c", "d", "e", "f"])
    T.step("delete where, limited", box.delete(where={"n": {"$gte": 2}}, limit=1), {"deleted": 1})
    T.step("the first match is gone", box.get()["ids"], ["c", "d", "e", "f"])
    T.step("delete ids and where", box.delete(ids=["c", "d"], where={"n": 3}), {"deleted": 1})
    T.step("delete where without a match", box.delete(where={"n": 12345}), {"deleted": 0})
    T.step("delete where_document", box.delete(where_document={"$contains": "fifth"}), {"deleted": 1})
    box.add(ids=["a"], embeddings=[[4, 4, 4]])
    T.step("delete and add moves to the end", box.get(include=ALL), lambda got: got["ids"] == ["d", "f", "a"])
    box.add(ids=[f"m{n:04}" for n in range(600)], embeddings=[[n, n + 0.5, 1 / (n + 1)] for n in range(600)])
    T.step("many", [box.count(), box.get(limit=2, offset=500)["ids"]], [603, ["m0497", "m0498"]])
    T.step("delete many", box.delete(ids=[f"m{n:04}" for n in range(600)]), {"deleted": 600})

    round_space = c.get_collection("green", embedding_function=None)
    round_space.add(ids=["p", "q"], embeddings=[[3, 4], [0, 2]])
    T.step("cosine", round_space.query(query_embeddings=[[0, 1]], n_results=2), lambda got: got["ids"] == [["q", "p"]])


def apart(c) -> None:
    """The same names in two databases are two things."""
    other = client(tenant=RUN, database="two")
    twin = other.create_collection("box", embedding_function=None)
    T.step("another database, another collection", [twin.count(), other.count_collections()], [0, 1])
    twin.add(ids=["t"], embeddings=[[1, 2, 3, 4]])
    T.step("of its own dimension", [twin.count(), c.get_collection("box", embedding_function=None).count()], [1, 3])
    admin().delete_database("two", tenant=RUN)
    T.refused("a deleted database takes its collections along", "NotFoundError", "does not exist", twin.count)


def reset(c) -> None:
    if not RESET:
        T.refused("reset", "ChromaError", "Reset is disabled by config", c.reset)
        for name in ("box", "green", "crimson"):
            c.delete_collection(name)
        return
    T.step("reset", c.reset(), True)
    T.refused("reset takes tenants along", "NotFoundError", "not found", lambda: admin().get_tenant(RUN))
    T.step("and leaves the default ones", client().list_collections(), [])


def main() -> None:
    server()
    places()
    c = client(tenant=RUN, database="one")
    collections(c)
    records(c)
    apart(c)
    reset(c)


main()
