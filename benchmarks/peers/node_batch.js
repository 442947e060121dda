"use strict";
/* Copies values with node-opcua: monitored item groups, batched writes, one session on each side.
 *
 *   node node_batch.js --source URL --target URL --items N
 *
 * Run from a folder whose node_modules holds node-opcua, or with NODE_PATH set to such a folder.
 */
const opcua = require("node-opcua");

const NAMESPACE = "urn:mirrorsite:bench:load";
const PUBLISHING_MS = 100;
const GATHER_MS = 20;
const NODES_PER_CALL = 1000;

function options() {
  const found = {};
  const given = process.argv.slice(2);
  for (let i = 0; i < given.length; i += 2) found[given[i].replace(/^--/, "")] = given[i + 1];
  return { ...found, items: Number(found.items) };
}

function nodeName(index) {
  const area = String(Math.floor(index / 1000) % 100).padStart(2, "0");
  const unit = String(Math.floor(index / 100) % 100).padStart(2, "0");
  return `Area${area}.Unit${unit}.T${String(index).padStart(6, "0")}.PV`;
}

async function connect(url) {
  const client = opcua.OPCUAClient.create({
    endpointMustExist: false,
    securityMode: opcua.MessageSecurityMode.None,
    securityPolicy: opcua.SecurityPolicy.None,
    requestedSessionTimeout: 60000,
  });
  await client.connect(url);
  const session = await client.createSession();
  const index = (await session.readNamespaceArray()).indexOf(NAMESPACE);
  return { session, index };
}

async function main() {
  const chosen = options();
  const source = await connect(chosen.source);
  const target = await connect(chosen.target);
  const targets = [];
  for (let item = 0; item < chosen.items; item++) {
    targets.push(opcua.coerceNodeId(`ns=${target.index};s=${nodeName(item)}`));
  }

  let newest = new Map();
  const subscription = await source.session.createSubscription2({
    requestedPublishingInterval: PUBLISHING_MS,
    requestedLifetimeCount: 600,
    requestedMaxKeepAliveCount: 20,
    maxNotificationsPerPublish: 0,
    publishingEnabled: true,
  });
  for (let start = 0; start < chosen.items; start += NODES_PER_CALL) {
    const stop = Math.min(chosen.items, start + NODES_PER_CALL);
    const wanted = [];
    for (let item = start; item < stop; item++) {
      wanted.push({
        nodeId: opcua.coerceNodeId(`ns=${source.index};s=${nodeName(item)}`),
        attributeId: opcua.AttributeIds.Value,
      });
    }
    const group = opcua.ClientMonitoredItemGroup.create(
      subscription,
      wanted,
      { samplingInterval: 0, queueSize: 1, discardOldest: true },
      opcua.TimestampsToReturn.Source,
    );
    group.on("changed", (_item, value, index) => newest.set(start + index, value));
    await new Promise((resolve, reject) => {
      group.once("initialized", resolve);
      group.once("err", (message) => reject(new Error(message)));
    });
  }

  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    const batch = [...newest];
    newest = new Map();
    for (let start = 0; start < batch.length; start += NODES_PER_CALL) {
      const results = await target.session.write(
        batch.slice(start, start + NODES_PER_CALL).map(([item, value]) => ({
          nodeId: targets[item],
          attributeId: opcua.AttributeIds.Value,
          value: {
            value: value.value,
            statusCode: value.statusCode,
            sourceTimestamp: value.sourceTimestamp,
            sourcePicoseconds: value.sourcePicoseconds,
          },
        })),
      );
      const bad = results.find((status) => !status.isGood());
      if (bad) throw new Error(`a write was answered ${bad}`);
    }
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
