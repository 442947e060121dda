"use strict";
/* Moves the wall clock of this process by the seconds in the file that TEST_CLOCK_FILE names, as
 * tests/scenarios/clock_shim does. Monotonic clocks are left alone. */
const fs = require("node:fs");

const file = process.env.TEST_CLOCK_FILE;
const Plain = Date;
let readAt = -Infinity;
let offset = 0;

function now() {
  if (performance.now() - readAt >= 100) {
    readAt = performance.now();
    offset = Math.round(Number(fs.readFileSync(file, "utf8") || 0) * 1000);
  }
  return Plain.now() + offset;
}

globalThis.Date = new Proxy(Plain, {
  apply: () => new Plain(now()).toString(),
  construct: (_, args, made) => Reflect.construct(Plain, args.length ? args : [now()], made),
  get: (_, name) => (name === "now" ? now : Plain[name]),
});
