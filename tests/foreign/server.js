"use strict";
/* A node-opcua server as a process of its own, driven by JSON lines on stdin; the same commands and
 * answers as tests/servers/plant.py.
 *
 *   node server.js --port 0 --items 100   prints {"ready": true, "port": …} when it serves.
 */
if (process.env.TEST_CLOCK_FILE) require("./shifted_clock.js");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const opcua = require("node-opcua");

const { DataType, StatusCodes, Variant, VariantArrayType } = opcua;

const NAMESPACE = "urn:test:plant";
const OTHERS = ["urn:test:first", "urn:test:second", "urn:test:third"];
const TYPES = "urn:test:types";
const MODELS = path.join(__dirname, "..", "servers", "types.xml");
const ITEMS_PER_FOLDER = 500;
const WARM = 2;  // RedundancySupport (Part 5, 12.4)
const KEPT_REQUESTS = 20000;
const STAMP = new Date("2026-01-02T03:04:05.678Z");

const SCALARS = {
  Boolean: true, SByte: -5, Byte: 5, Int16: -1234, UInt16: 1234, Int32: -123456, UInt32: 123456,
  Int64: [0xc0000000, 0], UInt64: [0x80000000, 5], Float: 1.5, Double: 2.718281828459045,
  String: "Wörter ✓", DateTime: STAMP, Guid: "12345678-1234-5678-1234-567812345678",
  ByteString: Buffer.from([0, 1, 255]), LocalizedText: { text: "Hallo", locale: "de" },
};
const ARRAYS = {
  Double: new Float64Array([1, 2, 3]), Int32: new Int32Array([1, -2, 3]),
  String: ["a", "", "ccc"], Boolean: [true, false], Float: new Float32Array(10).fill(0.5),
};

function options() {
  const found = { port: 0, items: 10, types: false, models: false, "byte-string": 0, "namespace-order": "", secure: false,
                  user: "", password: "", certificate: "", key: "", "max-operations": 0,
                  "max-sessions": 100, "application-uri": "urn:test:foreign:server", "no-redundancy": false };
  const given = process.argv.slice(2);
  for (let i = 0; i < given.length; i++) {
    const name = given[i].replace(/^--/, "");
    if (!(name in found)) throw new Error(`unknown option ${given[i]}`);
    found[name] = typeof found[name] === "boolean" ? true : given[++i];
  }
  for (const name of ["port", "items", "max-operations", "max-sessions", "byte-string"]) found[name] = Number(found[name]);
  return found;
}

function say(answer) {
  process.stdout.write(JSON.stringify(answer) + "\n");
}

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

class Plant {
  constructor(chosen, folder) {
    this.options = chosen;
    this.folder = folder;
    this.nodes = new Map();
  }

  async start() {
    const chosen = this.options;
    const most = chosen["max-operations"];
    const certificates = new opcua.OPCUACertificateManager({
      rootFolder: path.join(this.folder, "pki"),
      automaticallyAcceptUnknownCertificate: true,
    });
    const users = new opcua.OPCUACertificateManager({
      rootFolder: path.join(this.folder, "users"),
      automaticallyAcceptUnknownCertificate: true,
    });
    const { MessageSecurityMode: Mode, SecurityPolicy: Policy } = opcua;
    this.server = new opcua.OPCUAServer({
      port: chosen.port,
      host: "127.0.0.1",
      hostname: "127.0.0.1",
      resourcePath: "/foreign",
      serverInfo: { applicationUri: chosen["application-uri"] },
      buildInfo: { productName: "foreign plant" },
      serverCertificateManager: certificates,
      userCertificateManager: users,
      ...(chosen.certificate ? { certificateFile: chosen.certificate, privateKeyFile: chosen.key } : {}),
      securityModes: chosen.secure ? [Mode.None, Mode.Sign, Mode.SignAndEncrypt] : [Mode.None],
      securityPolicies: chosen.secure
        ? [Policy.None, Policy.Basic256Sha256, Policy.Aes128_Sha256_RsaOaep, Policy.Aes256_Sha256_RsaPss]
        : [Policy.None],
      allowAnonymous: !chosen.user,
      disableDiscovery: false,
      ...(chosen.models ? { nodeset_filename: [opcua.nodesets.standard, MODELS] } : {}),
      userManager: { isValidUser: (name, password) => name === chosen.user && password === chosen.password },
      maxConnectionsPerEndpoint: 50,
      serverCapabilities: {
        maxSessions: chosen["max-sessions"],
        maxMonitoredItems: 100000,
        maxMonitoredItemsPerSubscription: 100000,
        ...(chosen["byte-string"] ? { maxByteStringLength: chosen["byte-string"] } : {}),
        ...(most ? { operationLimits: { maxNodesPerRead: most, maxNodesPerWrite: most,
                                        maxMonitoredItemsPerCall: most, maxNodesPerBrowse: most } } : {}),
      },
    });
    await this.server.initialize();
    this.build();
    if (chosen["no-redundancy"]) this.forgetRedundancy();
    else this.service_level({ level: 255 });
    await this.server.start();
  }

  build() {
    const space = this.server.engine.addressSpace;
    let order = [NAMESPACE, ...OTHERS];
    const wanted = this.options["namespace-order"];
    if (wanted) order = [...wanted].map((digit) => order[Number(digit)]);
    for (const uri of order) space.registerNamespace(uri);
    this.space = space.getNamespace(NAMESPACE);
    const objects = space.rootFolder.objects;
    let folder = null;
    for (let index = 0; index < this.options.items; index++) {
      if (index % ITEMS_PER_FOLDER === 0) {
        const name = `Area${String(index / ITEMS_PER_FOLDER).padStart(2, "0")}`;
        folder = this.space.addFolder(objects, { browseName: name, nodeId: `s=${name}` });
      }
      this.add(folder, `T${String(index).padStart(6, "0")}`, "Double", index);
    }
    if (this.options.types) this.addTypes(objects);
    if (this.options.models) this.addModels(objects);
  }

  /* As of servers that know nothing of Part 4, 6.6. */
  forgetRedundancy() {
    const space = this.server.engine.addressSpace;
    for (const id of ["i=2267", "i=11312", "i=11313", "i=11314", "i=2296"]) {
      const node = space.findNode(id);
      if (node) space.deleteNode(node);
    }
  }

  service_level({ level }) {
    const get = () => new Variant({ dataType: DataType.Byte, value: level });
    this.server.engine.addressSpace.findNode("i=2267").bindVariable({ get }, true);
    return null;
  }

  /* ``uris``: the ServerUriArray; ``servers``: the RedundantServerArray, ServiceLevel by ServerId;
   * ``addresses``: what FindServers answers besides this server, address by ApplicationUri. */
  redundancy({ uris = [], servers = {}, addresses = {} }) {
    const space = this.server.engine.addressSpace;
    const set = (id, dataType, value, arrayType = VariantArrayType.Array) => space.findNode(id).setValueFromSource(
      new Variant({ dataType, arrayType, value }));
    set("i=3709", DataType.Int32, WARM, VariantArrayType.Scalar);
    set("i=11314", DataType.String, uris);
    set("i=11313", DataType.ExtensionObject, Object.entries(servers).map(([serverId, serviceLevel]) =>
      new opcua.RedundantServerDataType({ serverId, serviceLevel, serverState: opcua.ServerState.Running })));
    const plain = Object.getPrototypeOf(this.server).getServers;
    const others = Object.entries(addresses).map(([applicationUri, url]) => new opcua.ApplicationDescription({
      applicationUri, applicationName: { text: applicationUri }, productUri: "",
      applicationType: opcua.ApplicationType.Server, discoveryUrls: [url] }));
    this.server.getServers = function (channel) { return [...plain.call(this, channel), ...others]; };
    return null;
  }

  /* One node of each family of types that is more than a scalar. */
  addModels(objects) {
    const types = this.server.engine.addressSpace.getNamespaceIndex(TYPES);
    const own = (id) => `ns=${types};i=${id}`;
    const folder = this.space.addFolder(objects, { browseName: "Models", nodeId: "s=Models" });
    const text = opcua.coerceNodeId(`ns=${this.space.index};s=Models`);
    this.add(folder, "Model.Mode", "Int32", 0, { dataType: own(3001) });
    this.add(folder, "Model.Percent", "Double", 0, { dataType: own(3002) });
    this.add(folder, "Model.Text", "LocalizedText", { text: "", locale: "" });
    this.add(folder, "Model.Name", "QualifiedName", { name: "", namespaceIndex: 0 });
    this.add(folder, "Model.Node", "NodeId", text);
    this.add(folder, "Model.Expanded", "ExpandedNodeId", new opcua.ExpandedNodeId(1, 5, 0));
    this.add(folder, "Model.String", "String", "start");
    this.add(folder, "Model.Bytes", "ByteString", Buffer.alloc(1));
    this.add(folder, "Model.Element", "Double", 0);
    this.add(folder, "Model.Array", "Double", new Float64Array([0, 1, 2, 3, 4]), { rank: 1 });
    this.add(folder, "Model.Nodes", "NodeId", [], { rank: 1 });
    this.add(folder, "Model.Any", "Double", 0, { dataType: "BaseDataType", rank: -2 });
    this.add(folder, "Model.Limited", "Double", new Float64Array([0]), { rank: 1, dimensions: [3] });
    const matrix = new Variant({ dataType: DataType.Double, arrayType: VariantArrayType.Matrix,
                                 dimensions: [2, 2], value: new Float64Array([1, 2, 3, 4]) });
    this.addVariant(folder, "Model.Matrix", matrix, { rank: 2 });
    for (const [name, id] of [["Batch", 3004], ["Choice", 3005], ["Note", 3006], ["Point", 3007]]) {
      const made = this.server.engine.addressSpace.constructExtensionObject(opcua.coerceNodeId(own(id)), {});
      this.addVariant(folder, `Model.${name}`,
        new Variant({ dataType: DataType.ExtensionObject, value: made }), { dataType: own(id) });
    }
  }

  addTypes(objects) {
    const scalars = this.space.addFolder(objects, { browseName: "Scalars", nodeId: "s=Scalars" });
    for (const [type, value] of Object.entries(SCALARS)) this.add(scalars, `Scalar.${type}`, type, value);
    const arrays = this.space.addFolder(objects, { browseName: "Arrays", nodeId: "s=Arrays" });
    for (const [type, value] of Object.entries(ARRAYS)) {
      this.add(arrays, `Array.${type}`, type, value, { rank: 1 });
    }
    const odd = this.space.addFolder(objects, { browseName: "Odd", nodeId: "s=Odd" });
    this.add(odd, "Enum", "Int32", 1, { dataType: "ServerState" });
    this.add(odd, "Number", "Double", 1.5, { dataType: "Number" });
    this.add(odd, "Duration", "Double", 5, { dataType: "Duration" });
    this.add(odd, "ReadOnly", "Double", 1.5, { access: "CurrentRead" });
    this.addAnalog(odd, "Analog", 100, { low: 0, high: 200 });
  }

  add(parent, name, type, value, { rank = -1, dataType = type, ...more } = {}) {
    const variant = this.variant(type, value, rank);
    return this.addVariant(parent, name, variant, { rank, dataType, ...more });
  }

  addVariant(parent, name, variant, { rank = -1, dataType = DataType[variant.dataType], dimensions = null,
                                      access = "CurrentRead | CurrentWrite" } = {}) {
    const node = this.space.addVariable({
      ...(parent === this.server.engine.addressSpace.rootFolder.objects
        ? { organizedBy: parent } : { componentOf: parent }),
      nodeId: `s=${name}`,
      browseName: name,
      dataType,
      valueRank: rank,
      ...(rank > 0 ? { arrayDimensions: dimensions ?? new Array(rank).fill(0) } : {}),
      accessLevel: access,
      userAccessLevel: access,
      minimumSamplingInterval: 0,
    });
    this.nodes.set(name, node);
    node.setValueFromSource(variant, StatusCodes.Good, STAMP);
    return node;
  }

  variant(type, value, rank) {
    return new Variant({
      dataType: DataType[type],
      arrayType: rank > 0 ? VariantArrayType.Array : VariantArrayType.Scalar,
      value,
    });
  }

  addAnalog(parent, name, value, engineeringUnitsRange) {
    const access = "CurrentRead | CurrentWrite";
    const node = this.space.addAnalogDataItem({
      componentOf: parent, nodeId: `s=${name}`, browseName: name, dataType: "Double",
      engineeringUnitsRange, accessLevel: access, userAccessLevel: access, minimumSamplingInterval: 0,
    });
    this.nodes.set(name, node);
    this.write(name, "Double", value, -1, 0, STAMP.getTime() * 1000);
  }

  write(name, type, value, rank, status, stampMicroseconds) {
    const code = status ? opcua.getStatusCodeFromCode(status) : StatusCodes.Good;
    const variant = this.variant(type, value, rank);
    this.nodes.get(name).setValueFromSource(variant, code, new Date(Math.floor(stampMicroseconds / 1000)));
  }

  set(command) {
    const node = this.nodes.get(command.node);
    const current = node.readValue().value;
    const type = command.type ?? DataType[current.dataType];
    const rank = current.arrayType === VariantArrayType.Array ? 1 : -1;
    const stamp = command.stamp ?? Date.now() * 1000;
    let value = command.value;
    if (type === "ByteString" && typeof value === "string") value = Buffer.from(value, "hex");
    this.write(command.node, type, value, rank, command.status ?? 0, stamp);
    return null;
  }

  /* `raw`: a whole DataValue as hex, as it goes over the wire. */
  set_raw(command) {
    const value = new opcua.DataValue();
    value.decode(new opcua.BinaryStream(Buffer.from(command.raw, "hex")));
    const opaque = value.value.value;
    if (opaque?.nodeId && opaque.buffer) {  // the server itself holds decoded objects only
      const space = this.server.engine.addressSpace;
      const type = `ns=${opaque.nodeId.namespace};i=${opaque.nodeId.value - 2000}`;
      value.value.value = space.constructExtensionObject(opcua.coerceNodeId(type), {});
      value.value.value.decode(new opcua.BinaryStream(opaque.buffer));
    }
    this.nodes.get(command.node).setValueFromSource(value.value, value.statusCode, value.sourceTimestamp);
    return null;
  }

  set_many(command) {
    for (const [node, value] of Object.entries(command.values)) this.set({ ...command, node, value });
    return Object.keys(command.values).length;
  }

  /* ``values`` one after the other, with no publishing in between. */
  set_burst(command) {
    for (const value of command.values) this.set({ ...command, value });
    return command.values.length;
  }

  /* Count ``node`` from ``first`` to ``last``, evenly over ``seconds``; answers at once. */
  count(command) {
    const { node, first, last, seconds } = command;
    const began = Date.now();
    let next = first;
    const timer = setInterval(() => {
      const due = first + ((last - first) * Math.min(1, (Date.now() - began) / 1000 / seconds));
      while (next <= due) this.set({ ...command, value: next++ });
      if (next > last) clearInterval(timer);
    }, 20);
    return null;
  }

  read(command) {
    const answer = {};
    for (const name of command.nodes ?? this.nodes.keys()) {
      const value = this.nodes.get(name).readValue();
      const plain = value.value.value;
      const stamp = value.sourceTimestamp;
      answer[name] = {
        value: ArrayBuffer.isView(plain) && !Buffer.isBuffer(plain) ? Array.from(plain) : plain,
        type: DataType[value.value.dataType],
        status: value.statusCode.value,
        stamp: stamp ? stamp.getTime() * 1000 + Math.round((value.sourcePicoseconds ?? 0) / 1000000) : null,
      };
    }
    return answer;
  }

  add_node(command) {
    this.add(this.server.engine.addressSpace.rootFolder.objects, command.node, command.type ?? "Double", command.value);
    return null;
  }

  delete_node(command) {
    this.server.engine.addressSpace.deleteNode(this.nodes.get(command.node));
    this.nodes.delete(command.node);
    return null;
  }

  /* ``statuses``: what a client's write of each node is answered with; an empty one ends it. */
  refuse(command) {
    for (const [name, status] of Object.entries(command.statuses)) {
      this.meddle(name, status && ((context, value, args) => {
        args[args.length - 1](null, StatusCodes[status]);
      }));
    }
    return null;
  }

  /* Write what is nearest within ``low`` and ``high`` instead, and say that all is well; without
   * them what was asked for is written again. */
  clamp(command) {
    const { node, low, high } = command;
    const plain = Object.getPrototypeOf(this.nodes.get(node)).writeValue;
    this.meddle(node, low !== undefined && function (context, dataValue, args) {
      const { dataType, value } = dataValue.value;
      dataValue.value = new Variant({ dataType, value: Math.min(high, Math.max(low, value)) });
      plain.call(this, context, dataValue, ...args);
    });
    return null;
  }

  meddle(name, write) {
    const node = this.nodes.get(name);
    if (write) node.writeValue = function (context, value, ...args) { write.call(this, context, value, args); };
    else delete node.writeValue;
  }

  delete_subscriptions() {
    let count = 0;
    for (const session of Object.values(this.server.engine._sessions)) {
      for (const subscription of session.publishEngine.subscriptions.slice()) {
        session.deleteSubscription(subscription.id);
        count++;
      }
    }
    return count;
  }

  /* ``nodes`` have values that can be read and are not reported, asked anew or not; none ends it. */
  silence(command) {
    if (!this.silent) {
      const plant = this;
      const record = opcua.MonitoredItem.prototype.recordValue;
      opcua.MonitoredItem.prototype.recordValue = function (...args) {
        if (!plant.silent.has(this.itemToMonitor.nodeId.value)) record.apply(this, args);
      };
    }
    this.silent = new Set(command.nodes);
    return null;
  }

  /* As ``traffic`` of tests/servers/traffic.py: what clients wrote, from the first look on. */
  traffic({ since = 0 }) {
    if (!this.requests) this.logWrites();
    const requests = this.requests.filter(([at]) => at > since);
    return { moved: 0, written: this.written, requests };
  }

  logWrites() {
    const plant = this;
    const plain = Object.getPrototypeOf(this.server)._on_WriteRequest;
    this.requests = [];
    this.written = 0;
    this.server._on_WriteRequest = function (message, channel) {
      const nodes = message.request.nodesToWrite ?? [];
      plant.written += nodes.length;
      plant.requests.push([Number(process.hrtime.bigint()) / 1e9, nodes.length, nodes[0]?.nodeId.value]);
      if (plant.requests.length > KEPT_REQUESTS) plant.requests.shift();
      return plain.call(this, message, channel);
    };
  }

  counts() {
    const engine = this.server.engine;
    let items = 0;
    for (const session of Object.values(engine._sessions)) {
      for (const subscription of session.publishEngine.subscriptions) items += subscription.monitoredItemCount;
    }
    return { subscriptions: engine.currentSubscriptionCount, items, sessions: engine.currentSessionCount };
  }
}

const COMMANDS = new Set(["set", "set_raw", "set_many", "set_burst", "count", "read", "add_node", "delete_node", "refuse", "clamp", "delete_subscriptions", "silence", "service_level", "redundancy", "traffic", "counts"]);

async function main() {
  const chosen = options();
  chosen.port = chosen.port || (await freePort());
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "foreign-plant-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  const plant = new Plant(chosen, folder);
  await plant.start();
  say({ ready: true, port: chosen.port });
  const lines = readline.createInterface({ input: process.stdin });
  for await (const line of lines) {
    const command = JSON.parse(line);
    if (command.cmd === "stop") break;
    try {
      if (!COMMANDS.has(command.cmd)) throw new Error(`unknown command ${command.cmd}`);
      say({ ok: true, result: await plant[command.cmd](command) });
    } catch (error) {
      say({ ok: false, error: String(error) });
    }
  }
  await plant.server.shutdown(0);
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
