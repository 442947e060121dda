// Pipes and items of the overview, asked for once a second. Every text from the plant is set as
// text, never as markup.
const EVERY_MS = 1000;
const LOST_MS = 3000;
const main = document.querySelector("main");
const pipeStates = JSON.parse(main.dataset.pipeStates);
const itemStates = JSON.parse(main.dataset.itemStates);
const limit = 50;
let answeredAt = Date.now();
let isLost = false;

const whole = (value) => (value ?? 0).toLocaleString("en-US", { maximumFractionDigits: 0 });

function valueText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
    return text.replace("-", "−");
  }
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function ageText(ms) {
  if (ms === null || ms === undefined) return "never";
  const seconds = Math.abs(ms) / 1000;
  let text;
  if (seconds < 10) text = `${seconds.toFixed(1)} s`;
  else if (seconds < 60) text = `${Math.floor(seconds)} s`;
  else if (seconds < 3600) text = `${Math.floor(seconds / 60)} min`;
  else if (seconds < 86400) text = `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  else text = `${Math.floor(seconds / 86400)} days`;
  return ms < 0 ? `${text} ahead` : text;
}

function symbolFor(cell, [name, word]) {
  if (cell.dataset.symbol === name) return;
  cell.dataset.symbol = name;
  cell.replaceChildren();
  if (!name) return;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", word);
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  cell.append(svg);
}

function newRow(key, value, isItem, columns) {
  const row = document.createElement("tr");
  row.dataset[key] = value;
  if (isItem) row.dataset.testid = "item-row";
  columns.forEach((className, place) => {
    const cell = document.createElement(place === 1 ? "th" : "td");
    if (place === 1) cell.scope = "row";
    if (className) cell.className = className;
    row.append(cell);
  });
  return row;
}

function fill(body, rows, key, isItem, columns) {
  const known = new Map([...body.rows].map((row) => [row.dataset[key], row]));
  const wanted = rows.map(({ id, symbol, texts }) => {
    const row = known.get(String(id)) ?? newRow(key, id, isItem, columns);
    symbolFor(row.cells[0], symbol);
    texts.forEach((text, place) => {
      const cell = row.cells[place + 1];
      if (cell.textContent !== text) cell.textContent = text;
    });
    return row;
  });
  if (wanted.length !== body.rows.length || wanted.some((row, place) => row !== body.rows[place])) {
    body.replaceChildren(...wanted);
  }
}

function showPipes(pipes) {
  const rows = pipes.results.map(({ name, source, target, status }) => ({
    id: name,
    symbol: pipeStates[status.state] ?? ["", ""],
    texts: [
      name, status.reason ? `${status.state}: ${status.reason}` : status.state, source, target,
      whole(status.items), whole(status.good), whole(status.rate), whole(status.writes),
      whole(status.errors), status.latency_ms ? valueText(status.latency_ms.p99) : "–",
    ],
  }));
  const columns = ["m", "", "x", "", "", "n", "n", "n", "n", "n", "n"];
  fill(document.querySelector("[data-pipes]"), rows, "name", false, columns);
  document.querySelector("[data-pipe-count]").textContent = whole(pipes.count);
  document.querySelector("[data-no-pipes]").hidden = pipes.count > 0;
}

function showItems(items) {
  const rows = items.results.map((item) => ({
    id: item.id,
    symbol: itemStates[item.status.state] ?? ["", ""],
    texts: [
      item.source_node, item.direction, item.target_node, item.pipe,
      valueText(item.status.source?.value), valueText(item.status.written?.value),
      ageText(item.status.age_ms), whole(item.status.writes), whole(item.status.errors),
    ],
  }));
  const columns = ["m", "", "", "", "", "n", "n", "n", "n", "n"];
  fill(document.querySelector("[data-items]"), rows, "id", true, columns);
  document.querySelector("[data-item-count]").textContent = whole(items.count);
  document.querySelector("[data-no-items]").hidden = items.count > 0;
}

async function ask(path) {
  const answer = await fetch(path, {
    headers: { Accept: "application/json" }, signal: AbortSignal.timeout(LOST_MS),
  });
  if (answer.status === 401) location.assign(`/login/?next=${encodeURIComponent(location.pathname)}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function showConnection() {
  const silent = Date.now() - answeredAt;
  const lost = silent > LOST_MS;
  const live = document.querySelector("[data-live]");
  const text = lost ? `Frozen for ${ageText(silent)}` : "Live";
  if (live.textContent !== text) live.textContent = text;
  document.querySelector("[data-clock]").textContent = new Date().toLocaleTimeString("en-GB");
  if (lost === isLost) return;
  isLost = lost;
  main.classList.toggle("frozen", lost);
  const at = new Date(answeredAt).toLocaleTimeString("en-GB");
  document.querySelector("[data-lost-text]").textContent =
    `Connection to station ${main.dataset.station} lost. Values are frozen at ${at}.`;
  document.querySelector("[data-testid=connection-lost]").hidden = !lost;
}

function showStation(station) {
  const text = station ? station.state : "not known";
  const cell = document.querySelector("[data-station-state]");
  if (cell.textContent !== text) cell.textContent = text;
}

async function turn() {
  const startedAt = Date.now();
  const answers = await Promise.all([
    ask("/api/v1/pipes?limit=50"), ask(`/api/v1/items?limit=${limit}`),
    ask("/api/v1/station").catch(() => null),
  ]).catch(() => null); // the banner follows after three seconds without an answer
  if (answers) {
    answeredAt = Date.now();
    showPipes(answers[0]);
    showItems(answers[1]);
    showStation(answers[2]);
  }
  setTimeout(turn, Math.max(EVERY_MS - (Date.now() - startedAt), 100));
}

setInterval(showConnection, 500);
showConnection();
turn();
