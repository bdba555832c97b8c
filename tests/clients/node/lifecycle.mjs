// The official JavaScript client through its whole life cycle against one address.
//
//     node lifecycle.mjs URL [--reset]
//
// `--reset`: the server allows reset, and everything on it may be deleted. Explicit embeddings only.

import { randomBytes } from "node:crypto";

import { AdminClient, ChromaClient } from "chromadb";

import { Transcript } from "./transcript.mjs";

const ADDRESS = new URL(process.argv[2]);
const RESET = process.argv.includes("--reset");
const RUN = `run${randomBytes(6).toString("hex")}`;
const PLACE = { host: ADDRESS.hostname, port: Number(ADDRESS.port), ssl: false };
const NONE = { embeddingFunction: null };
const ALL = ["documents", "metadatas", "embeddings", "uris"];
const t = new Transcript(RUN, ADDRESS.host);
const admin = new AdminClient(PLACE);

/** What the server says of itself. */
async function server() {
  const client = new ChromaClient(PLACE);
  t.hold("heartbeat in nanoseconds", (await client.heartbeat()) > 1e18);
  t.step("version", await client.version(), "1.0.0");
  t.step("pre-flight", await client.getPreflightChecks(), { max_batch_size: 5461, supports_base64_encoding: true });
  t.step("max batch size", await client.getMaxBatchSize(), 5461);
  t.step("identity", await client.getUserIdentity(), (got) => got.tenant === "default_tenant");
}

/** Tenants and databases. */
async function places() {
  const tenant = RUN;
  await admin.createTenant({ name: RUN });
  t.step("get tenant", await admin.getTenant({ name: RUN }), RUN);
  await t.refused("tenant twice", "ChromaUniqueError", "", () => admin.createTenant({ name: RUN }));
  await t.refused("tenant missing", "ChromaNotFoundError", "", () => admin.getTenant({ name: `${RUN}-none` }));
  t.step("no databases yet", await admin.listDatabases({ tenant }), []);
  for (const name of ["one", "two", "three"]) await admin.createDatabase({ name, tenant });
  await t.refused("database twice", "ChromaUniqueError", "", () => admin.createDatabase({ name: "one", tenant }));
  await t.refused("database missing", "ChromaNotFoundError", "", () => admin.getDatabase({ name: "none", tenant }));
  await t.refused("bad database name", "ChromaClientError", "", () => admin.createDatabase({ name: "x", tenant }));
  const { name } = await admin.getDatabase({ name: "one", tenant });
  t.step("get database", name, "one");
  const names = (await admin.listDatabases({ tenant })).map((database) => database.name);
  t.step("list databases", names.toSorted(), ["one", "three", "two"]);
  const page = async (offset) => (await admin.listDatabases({ tenant, limit: 1, offset })).map((one) => one.name);
  const paged = [...(await page(0)), ...(await page(1)), ...(await page(2)), ...(await page(3))];
  t.hold("databases page by page", t.mask(paged) === t.mask(names));
  await admin.deleteDatabase({ name: "three", tenant });
  await t.refused("database deleted", "ChromaNotFoundError", "", () => admin.getDatabase({ name: "three", tenant }));
}

function described({ name, id, metadata, tenant, database, configuration }) {
  return { name, id, metadata, tenant, database, configuration };
}

/** Collections of one database. */
async function collections(client) {
  const get = (name) => client.getCollection({ name, ...NONE });
  t.step("no collections yet", [await client.listCollections(), await client.countCollections()], [[], 0]);
  const metadata = { shade: "dark", n: 1, x: 1.5, on: true };
  const red = await client.createCollection({ name: "red", metadata, ...NONE });
  t.step("create", described(red), (got) => got.name === "red" && got.tenant === RUN);
  await t.refused("create twice", "ChromaUniqueError", "", () => client.createCollection({ name: "red", ...NONE }));
  const again = await client.getOrCreateCollection({ name: "red", metadata: { ignored: 1 }, ...NONE });
  t.step("getOrCreate an existing one", described(again), described(red));
  t.step("get", described(await get("red")), described(red));
  t.step("get by id", described(await client.getCollectionById(red.id)), described(red));
  await t.refused("get a missing one", "ChromaNotFoundError", "", () => get("none"));
  await t.refused("bad name", "ChromaClientError", "", () => client.createCollection({ name: "..", ...NONE }));
  const configuration = { hnsw: { space: "cosine", ef_construction: 50 } };
  const green = await client.getOrCreateCollection({ name: "green", configuration, ...NONE });
  t.step("getOrCreate a new one", described(green), (got) => got.configuration.hnsw.space === "cosine");
  for (const name of ["add", "get-x", "count1"]) await client.createCollection({ name, ...NONE });
  const list = async (range) => (await client.listCollections(range)).map((one) => one.name);
  const listed = await list();
  t.step("list", listed.toSorted(), ["add", "count1", "get-x", "green", "red"]);
  t.step("count", await client.countCollections(), 5);
  const several = await client.getCollections(["red", "green"]);
  t.step("get several", several.map((one) => one.id), [red.id, green.id]);
  const pages = [];
  for (const offset of [0, 2, 4, 6]) pages.push(await list({ limit: 2, offset }));
  t.hold("list in pages", t.mask(pages.flat()) === t.mask(listed) && t.mask(pages.map((p) => p.length)) === "[2,2,1,0]");

  await red.modify({ name: "crimson", metadata: { only: "this" } });
  const crimson = await get("crimson");
  t.step("modified", described(crimson), (got) => got.id === red.id && got.metadata.only === "this");
  await t.refused("old name", "ChromaNotFoundError", "", () => get("red"));
  await t.refused("rename to a taken name", "ChromaServerError", "", () => red.modify({ name: "green" }));
  await green.modify({ configuration: { hnsw: { ef_search: 77 } } });
  t.step("configuration modified", (await get("green")).configuration.hnsw.ef_search, 77);
  const reborn = await client.createCollection({ name: "red", ...NONE });
  t.hold("a new collection under a freed name has a new id", reborn.id !== red.id);
  await reborn.add({ ids: ["old"], embeddings: [[1, 2]] });
  for (const name of ["red", "add", "get-x", "count1"]) await client.deleteCollection({ name });
  await t.refused("delete a missing one", "ChromaNotFoundError", "", () => client.deleteCollection({ name: "red" }));
  await t.refused("write to a deleted one", "ChromaNotFoundError", "", () =>
    reborn.add({ ids: ["late"], embeddings: [[1, 2]] }),
  );
  await t.refused("read a deleted one", "ChromaNotFoundError", "", () => reborn.count());
  const second = await client.createCollection({ name: "red", ...NONE });
  t.step("the next generation is empty", (await second.get()).ids, []);
  await second.add({ ids: ["new"], embeddings: [[1, 2, 3]] });
  t.step("and takes another dimension", await second.count(), 1);
  await client.deleteCollection({ name: "red" });
}

/** Records of one collection. */
async function records(client) {
  const box = await client.createCollection({ name: "box", ...NONE });
  const ids = async (args) => (await box.get(args)).ids;
  t.step("empty", [await box.count(), await ids(), (await box.peek({})).ids], [0, [], []]);
  await box.add({
    ids: ["a", "b", "c", "d"],
    embeddings: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.1, -0.5]],
    documents: ["the red fox", "the blue sea", "a green tree", "𝄞 ünïcode 🦊"],
    metadatas: [{ n: 1, k: "x" }, { n: 2, k: "y", f: 1.5 }, { n: 3, b: true }, { k: "tagged" }],
    uris: ["u:a", "u:b", "u:c", "u:d"],
  });
  t.step("add", await box.count(), 4);
  t.step("get everything", await box.get({ include: ALL }), (got) => t.mask(got.ids) === '["a","b","c","d"]');
  t.step("default include", await box.get({ ids: ["c", "a"] }), (got) => t.mask(got.ids) === '["a","c"]');
  t.step("peek", await box.peek({ limit: 2 }), (got) => t.mask(got.ids) === '["a","b"]');
  t.step("pages", [await ids({ limit: 3 }), await ids({ limit: 3, offset: 3 })], [["a", "b", "c"], ["d"]]);
  await box.add({ ids: ["a", "e"], embeddings: [[9, 9, 9], [0, 0, 2]], documents: ["not this", "the fifth"] });
  t.step("add of an existing id keeps it", (await box.get({ ids: ["a", "e"] })).documents, ["the red fox", "the fifth"]);
  await box.upsert({ ids: ["b", "f"], embeddings: [[0, 2, 0], [3, 3, 3]], metadatas: [{ k: "z", new: 1 }, { n: 6 }] });
  t.step("upsert merges and inserts", await box.get({ ids: ["b", "f"], include: ALL }), (got) =>
    t.mask(got.metadatas) === '[{"f":1.5,"k":"z","n":2,"new":1},{"n":6}]',
  );
  const embeddings = [[0, 0, 1], [1, 1, 1]];
  await box.update({ ids: ["c", "missing"], embeddings, documents: ["a yellow tree", "nothing"] });
  await box.update({ ids: ["c"], metadatas: [{ b: false, n: 3 }] });
  t.step("update", await box.get({ ids: ["c", "missing"], include: ALL }), (got) =>
    t.mask(got.metadatas) === '[{"b":false,"n":3}]',
  );
  t.step("where", await ids({ where: { n: { $gte: 2 } } }), ["b", "c", "f"]);
  t.step("where and", await ids({ where: { $and: [{ n: 2 }, { k: { $in: ["z"] } }] } }), ["b"]);
  t.step("whereDocument", await ids({ whereDocument: { $contains: "tree" } }), ["c"]);
  t.step("get with limit and where", await ids({ where: { n: { $gte: 1 } }, limit: 2, offset: 1 }), ["b", "c"]);
  const near = { queryEmbeddings: [[1, 0, 0], [0, 0, 1]], nResults: 2, include: [...ALL, "distances"] };
  t.step("query", await box.query(near), (got) => t.mask(got.ids.map((row) => row[0])) === '["a","c"]');
  const query = async (args) => (await box.query({ queryEmbeddings: [[1, 0, 0]], nResults: 9, ...args })).ids;
  t.step("query with where", await query({ where: { n: { $lt: 3 } } }), [["a", "b"]]);
  t.step("query among ids", await query({ ids: ["e", "f"] }), [["e", "f"]]);
  await refusals(box, ids);
  await deletions(box, ids);
  const round = await client.getCollection({ name: "green", ...NONE });
  await round.add({ ids: ["p", "q"], embeddings: [[3, 4], [0, 2]] });
  const cosine = await round.query({ queryEmbeddings: [[0, 1]], nResults: 2 });
  t.step("cosine", cosine, (got) => t.mask(got.ids) === '[["q","p"]]');
}

async function refusals(box, ids) {
  const one = { ids: ["w"], embeddings: [[1, 2, 3]] };
  await t.refused("wrong dimension", "ChromaClientError", "", () => box.add({ ids: ["w"], embeddings: [[1, 2]] }));
  await t.refused("wrong dimension in a query", "ChromaClientError", "", () => box.query({ queryEmbeddings: [[1, 2]] }));
  await t.refused("the same id twice", "ChromaValueError", "", () => box.add({ ids: ["w", "w"], embeddings: [[1, 2, 3], [1, 2, 3]] }));
  await t.refused("reserved metadata key", "ChromaClientError", "", () => box.add({ ...one, metadatas: [{ "#k": 1 }] }));
  await t.refused("bad regex", "ChromaClientError", "", () => box.get({ whereDocument: { $regex: "(" } }));
  t.step("nothing of what was refused is there", await ids(), ["a", "b", "c", "d", "e", "f"]);
}

async function deletions(box, ids) {
  t.step("delete by ids", await box.delete({ ids: ["a", "not-there"] }), { deleted: 2 });
  t.step("only that one is gone", await ids(), ["b", "c", "d", "e", "f"]);
  t.step("delete where, limited", await box.delete({ where: { n: { $gte: 2 } }, limit: 1 }), { deleted: 1 });
  t.step("the first match is gone", await ids(), ["c", "d", "e", "f"]);
  t.step("delete ids and where", await box.delete({ ids: ["c", "d"], where: { n: 3 } }), { deleted: 1 });
  t.step("delete where without a match", await box.delete({ where: { n: 12345 } }), { deleted: 0 });
  t.step("delete whereDocument", await box.delete({ whereDocument: { $contains: "fifth" } }), { deleted: 1 });
  await box.add({ ids: ["a"], embeddings: [[4, 4, 4]] });
  t.step("delete and add moves to the end", await ids(), ["d", "f", "a"]);
  const many = Array.from({ length: 600 }, (_, n) => n);
  await box.add({ ids: many.map((n) => `m${n}`), embeddings: many.map((n) => [n, n + 0.5, 1 / (n + 1)]) });
  t.step("many", [await box.count(), await ids({ limit: 2, offset: 500 })], [603, ["m497", "m498"]]);
  t.step("delete many", await box.delete({ ids: many.map((n) => `m${n}`) }), { deleted: 600 });
}

/** The same names in two databases are two things. */
async function apart(client) {
  const other = new ChromaClient({ ...PLACE, tenant: RUN, database: "two" });
  const twin = await other.createCollection({ name: "box", ...NONE });
  t.step("another database, another collection", [await twin.count(), await other.countCollections()], [0, 1]);
  await twin.add({ ids: ["t"], embeddings: [[1, 2, 3, 4]] });
  const box = await client.getCollection({ name: "box", ...NONE });
  t.step("of its own dimension", [await twin.count(), await box.count()], [1, 3]);
  await admin.deleteDatabase({ name: "two", tenant: RUN });
  await t.refused("a deleted database takes its collections along", "ChromaNotFoundError", "", () => twin.count());
}

async function reset(client) {
  if (!RESET) {
    await t.refused("reset", "ChromaForbiddenError", "", () => client.reset());
    for (const name of ["box", "green", "crimson"]) await client.deleteCollection({ name });
    return;
  }
  await client.reset();
  await t.refused("reset takes tenants along", "ChromaNotFoundError", "", () => admin.getTenant({ name: RUN }));
  t.step("and leaves the default ones", await new ChromaClient(PLACE).listCollections(), []);
}

await server();
await places();
const client = new ChromaClient({ ...PLACE, tenant: RUN, database: "one" });
await collections(client);
await records(client);
await apart(client);
await reset(client);
