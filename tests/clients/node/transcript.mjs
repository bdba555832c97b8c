// Steps of a life cycle: each prints one line, with everything masked that is by nature different
// from server to server (ids, times), and the first that is not as wanted ends the script.

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

export class Transcript {
  /** `secret` is the part of all names that is new in each run, `address` the server's host and port. */
  constructor(secret, address) {
    this.secret = secret;
    this.address = address;
    this.ids = new Map();
  }

  /** One spelling per value; the same id is the same mask through the whole run. */
  mask(value) {
    const text = JSON.stringify(sorted(value)) ?? "undefined";
    const plain = text.replaceAll(this.secret, "RUN").replaceAll(this.address, "SERVER");
    return plain.replace(UUID, (id) => {
      if (!this.ids.has(id)) this.ids.set(id, `id${this.ids.size + 1}`);
      return this.ids.get(id);
    });
  }

  /** `got` must be `wanted`, a value or a predicate. */
  step(what, got, wanted) {
    const shown = this.mask(got);
    console.log(`${what}: ${shown}`);
    const fits = typeof wanted === "function" ? wanted(got) : shown === this.mask(wanted);
    if (!fits) this.fail(what, shown, typeof wanted === "function" ? "something else" : this.mask(wanted));
  }

  /** For values that must not be in the transcript: only the fact is. */
  hold(what, fact) {
    console.log(`${what}: ${fact ? "holds" : "does not hold"}`);
    if (!fact) this.fail(what, "does not hold", "holds");
  }

  /** `call` must reject with an error of exactly this name whose message contains `message`. */
  async refused(what, name, message, call) {
    let answer;
    try {
      answer = await call();
    } catch (error) {
      const got = `${error.name}: ${error.message}`;
      console.log(`${what}: ${this.mask(got)}`);
      if (error.name !== name || !error.message.includes(message)) {
        this.fail(what, this.mask(got), `${name} with '${message}'`);
      }
      return;
    }
    this.fail(what, this.mask(answer), `${name} with '${message}'`);
  }

  fail(what, got, wanted) {
    console.error(`DIFFERENT at '${what}'\n  wanted ${wanted}\n  got    ${got}`);
    process.exit(1);
  }
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
