// Saved runs: a list that is filtered, and the row that was chosen. What is chosen stands in the address (#row=17&…).

import { make } from "./common.js";
import { drawBlock } from "./blocks.js";

const at = (id) => document.getElementById(id);
const STATES = { right: "as labelled", wrong: "differs from the label", failed: "failed" };
let about = null;
let shown = { items: [], total: 0 };
let asked = 0;
let drawn = null;
let timer = null;

async function get(path, values = {}) {
  const answer = await fetch(`/api/${path}?${new URLSearchParams(values)}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

// --- the address ---------------------------------------------------------------------------------------------------

function state() {
  return new URLSearchParams(location.hash.slice(1));
}

function part() {
  return Number(state().get("part") ?? 0);
}

function query() {
  const values = new URLSearchParams([...state()].filter(([name]) => name.startsWith("f.") || name === "text"));
  values.set("part", part());
  return values;
}

function go(change, replace = false) {
  const values = state();
  change(values);
  const address = `#${values}`;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  return follow();
}

function addressOf(number) {
  const values = state();
  values.set("row", number + 1);
  values.delete("id");
  return `#${values}`;
}

async function follow() {
  const list = query().toString();
  if (drawn?.list !== list) await fill();
  const id = state().get("id");
  if (id !== null) {
    const { number } = await get("find", { part: part(), what: id });
    return number === null ? told(`There is no row ${id}.`) : go((values) => { values.delete("id"); values.set("row", number + 1); }, true);
  }
  const row = state().get("row");
  const wanted = `${part()} ${row}`;
  if (drawn.row === wanted) return undefined;
  drawn.row = wanted;
  return row === null ? drawAbout() : drawRow(Number(row) - 1);
}

// --- the list ------------------------------------------------------------------------------------------------------

async function fill() {
  const mine = (asked += 1);
  const values = query();
  drawn = { list: values.toString(), row: drawn?.row };
  const found = await get("rows", values);
  if (mine !== asked) return;
  shown = found;
  at("list").replaceChildren(...found.items.map(item));
  drawFacets(found.counts);
  drawCount();
  drawParts();
  mark();
  clearTimeout(timer);
  if (!found.settled) timer = setTimeout(again, 700);
}

/** While the file is read the list grows; its beginning stays where it is. */
async function again() {
  const mine = asked;
  const found = await get("rows", query());
  if (mine !== asked) return;
  if (shown.items.length <= about.page) {
    shown = found;
    at("list").replaceChildren(...found.items.map(item));
    mark();
  }
  Object.assign(shown, { total: found.total, read: found.read, settled: found.settled });
  drawFacets(found.counts);
  drawCount();
  if (!found.settled) timer = setTimeout(again, 700);
}

async function more() {
  const mine = asked;
  const values = query();
  values.set("start", shown.items.length);
  const found = await get("rows", values);
  if (mine !== asked) return;
  shown.items.push(...found.items);
  at("list").append(...found.items.map(item));
  drawCount();
  mark();
}

function item({ number, title, sides }) {
  const briefs = sides.map((side) => make("span", `brief ${side?.state ?? ""}`, side ? side.brief : "—"));
  const name = title || sides.find(Boolean)?.id || "";
  const link = make("a", "", make("span", "number", String(number + 1)), make("span", "title", name), make("span", "briefs", ...briefs));
  link.href = addressOf(number);
  link.dataset.number = number;
  return make("li", "", link);
}

function mark() {
  const row = Number(state().get("row") ?? 0) - 1;
  for (const link of at("list").querySelectorAll("a")) {
    const current = Number(link.dataset.number) === row;
    link.href = addressOf(Number(link.dataset.number));
    if (current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (current) link.scrollIntoView({ block: "nearest" });
  }
}

function drawCount() {
  const said = [`${shown.total.toLocaleString("en")} ${about.runs.length > 1 ? "pairs" : shown.total === 1 ? "row" : "rows"}`];
  if (shown.read < 1) said.push(`reading, ${Math.floor(100 * shown.read)} %`);
  if (shown.broken.n) said.push(`${shown.broken.n} lines are no records (line ${shown.broken.lines.join(", ")}${shown.broken.n > shown.broken.lines.length ? ", …" : ""})`);
  if (shown.torn) said.push("the last line is torn: the run was killed or goes on");
  at("count").textContent = said.join(" · ");
  at("more").hidden = shown.items.length >= shown.total;
}

function drawFacets(counts) {
  const chosen = state();
  const boxes = Object.entries(counts).map(([name, values]) => {
    const chips = Object.entries(values).map(([value, count]) => {
      const chip = make("button", "chip", value.replaceAll("_", " ") || "(empty)", make("span", "", count.toLocaleString("en")));
      chip.type = "button";
      chip.setAttribute("aria-pressed", String(chosen.getAll(`f.${name}`).includes(value)));
      chip.addEventListener("click", () => toggle(name, value));
      return chip;
    });
    const box = make("div", "facet", make("span", "label", name), make("div", "chips", ...chips));
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", name);
    return box;
  });
  const focused = document.activeElement?.closest?.("#facets .chip")?.textContent;
  at("facets").replaceChildren(...boxes);
  if (focused) [...at("facets").querySelectorAll(".chip")].find((chip) => chip.textContent === focused)?.focus();
}

function toggle(name, value) {
  go((values) => {
    const before = values.getAll(`f.${name}`);
    values.delete(`f.${name}`);
    const after = before.includes(value) ? before.filter((each) => each !== value) : [...before, value];
    after.forEach((each) => values.append(`f.${name}`, each));
  }, true);
}

function drawParts() {
  const parts = about.runs[0].parts;
  at("parts").hidden = parts.length < 2;
  at("parts").replaceChildren(...parts.map(({ name }, number) => {
    const button = make("button", "", name.replace("-", " "));
    button.type = "button";
    if (number === part()) button.setAttribute("aria-current", "page");
    button.addEventListener("click", () => go((values) => {
      [...values.keys()].forEach((key) => values.delete(key));
      values.set("part", number);
    }));
    return button;
  }));
}

// --- the row -------------------------------------------------------------------------------------------------------

async function drawRow(number) {
  mark();
  let row;
  try {
    row = await get("row", { part: part(), number });
  } catch (error) {
    return told(error.message);
  }
  const first = row.sides.find(Boolean);
  const title = make("h2", "", `Row ${number + 1}`);
  const head = make("div", "where", title, make("span", "", first.id), ...elsewhere(row));
  if (row.sides.length === 1 && first.blocks[0].type === "critique" && STATES[first.state]) head.append(make("span", `brief ${first.state}`, STATES[first.state]));
  head.append(turns(number));
  const sides = row.sides.map((side, index) => {
    const box = make("div", "side");
    if (row.sides.length > 1) box.append(sideTitle(side, index));
    if (side === null) box.append(make("p", "missing", "This run has no such row."));
    else box.append(...side.blocks.map(drawBlock));
    return box;
  });
  at("detail").replaceChildren(head, make("div", "sides", ...sides));
  document.title = `${number + 1} · ${about.runs.map((run) => run.name).join(" | ")}`;
  if (at("detail").getBoundingClientRect().top < 0) at("detail").scrollIntoView();
  return undefined;
}

function sideTitle(side, index) {
  const run = about.runs[index];
  const name = run.name === about.runs[1 - index].name ? run.folder : run.name;
  const brief = side ? make("span", `brief ${side.state}`, side.brief) : null;
  return make("header", "", make("h3", "", name), brief, make("p", "note", run.made));
}

function elsewhere(row) {
  return row.elsewhere.map(({ part: other, name, number }) => {
    const link = make("a", "", name.replace("-", " "));
    link.href = `#part=${other}&row=${number + 1}`;
    return link;
  });
}

function turns(number) {
  const box = make("span", "turns");
  for (const [sign, label, by] of [["↑", "Row before", -1], ["↓", "Row after", 1]]) {
    const button = make("button", "", sign);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.disabled = next(number, by) === null;
    button.addEventListener("click", () => turn(by));
    box.append(button);
  }
  return box;
}

/** The row before or after among those in the list. */
function next(number, by) {
  const place = shown.items.findIndex((each) => each.number === number);
  const found = shown.items[place < 0 ? 0 : place + by];
  return found === undefined ? null : found.number;
}

async function turn(by) {
  const row = state().get("row");
  const number = row === null ? shown.items[0]?.number ?? null : next(Number(row) - 1, by);
  if (number !== null) await go((values) => values.set("row", number + 1));
  if (number !== null && shown.items.at(-1)?.number === number && !at("more").hidden) await more();
}

function told(message) {
  at("detail").replaceChildren(make("p", "notice", message));
}

// --- the run -------------------------------------------------------------------------------------------------------

function drawAbout() {
  document.title = `${about.runs.map((run) => run.name).join(" | ")} – genprm view`;
  const sides = about.runs.map((run, index) => {
    const box = make("div", "side about", make("h2", "", run.name));
    const images = (run.pictures[part()] ?? []).map((picture) => {
      const image = make("img");
      image.src = `/picture/${index}/${part()}/${encodeURIComponent(picture)}`;
      image.alt = `Plot: ${picture.replace(".png", "")}`;
      return image;
    });
    if (images.length) box.append(make("div", "pictures", ...images));
    box.append(...run.figures[part()].map(drawBlock), make("h2", "", "How it was made"), ...run.how.map(drawBlock));
    return box;
  });
  at("detail").replaceChildren(make("div", "sides", ...sides));
}

function typed() {
  const words = at("text").value.trim();
  go((values) => (words ? values.set("text", words) : values.delete("text")), true);
}

let pause = null;
at("text").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(typed, 250);
});
at("jump").addEventListener("keydown", async (event) => {
  const what = at("jump").value.trim();
  if (event.key !== "Enter" || !what) return;
  await go((values) => { values.delete("row"); values.set("id", what); });
});
at("more").addEventListener("click", more);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const scrolls = event.target.closest("pre, dd, .analysis");
  const act = {
    j: () => turn(1), k: () => turn(-1), ArrowDown: () => !scrolls && turn(1), ArrowUp: () => !scrolls && turn(-1),
    "/": () => at("text").focus(), g: () => at("jump").focus(),
  }[event.key];
  if (!act || (scrolls && event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  act();
});
addEventListener("popstate", follow);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("detail").focus();
});

about = await get("about");
at("name").textContent = about.runs.map((run) => run.name).join("  |  ");
at("made").textContent = about.runs.length > 1 ? "side by side" : about.runs[0].made;
at("text").value = state().get("text") ?? "";
await follow();
