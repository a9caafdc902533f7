// The page: what is asked for, the two searches that answer it, and what they found.
//
// While one types, a search without the reranker shows recall order; once the question stands, both stages run, and the
// passages move from the one order to the other.

import { byId, element, say } from "./dom.js";
import { collections, Refusal, search } from "./gateway.js";
import * as keyboard from "./keyboard.js";
import * as lines from "./lines.js";
import * as lists from "./lists.js";
import { milliseconds, whole } from "./numbers.js";
import { keep, key } from "./session.js";
import * as theme from "./theme.js";
import * as timings from "./timings.js";
import { fromAddress, intoAddress, showValues, wishes } from "./wishes.js";

const PREVIEW_AFTER_MS = 120;
const SEARCH_AFTER_MS = 500;
const LONGEST_PAUSE_S = 30;

const WORDS = { vector: "by cosine", bm25: "by BM25", hybrid: "by vector and keyword ranks, fused" };
const MISSING = {
  rerank_timeout: "The reranker did not answer in time: this is recall order.",
  rerank_unavailable: "The reranker is not available: this is recall order.",
  rerank_overloaded: "The reranker is full: this is recall order.",
  embed_unavailable: "The question could not be embedded: passages were found by their words.",
};

const known = new Map(); // collections by name: { count, filterable (names of fields), weight (of recall) }
let hits = []; // as shown
let running = new AbortController();
let timers = [];

function later(milliseconds, act) {
  timers.push(setTimeout(act, milliseconds));
}

// Ends what is under way, also what was to be tried again.
function stop() {
  running.abort();
  running = new AbortController();
  timers.forEach(clearTimeout);
  timers = [];
}

function soon() {
  stop();
  if (!wishes().query) return welcome();
  later(PREVIEW_AFTER_MS, preview);
  later(SEARCH_AFTER_MS, both);
}

function now() {
  stop();
  if (!wishes().query) return welcome();
  preview();
  both();
}

function request(wanted, rerank) {
  const { collection, query, recall, depth, filter } = wanted;
  return { collection, query, recall, filter, rerank, top_k: depth, recall_depth: depth };
}

async function preview() {
  const { signal } = running;
  const wanted = wishes();
  try {
    const found = await search(request(wanted, "off"), signal);
    if (signal.aborted) return;
    show(found, wanted, { pending: found.hits.length > 0 });
  } catch {
    // the search that follows will say what is wrong
  }
}

async function both() {
  const { signal } = running;
  const wanted = wishes();
  intoAddress();
  byId("results").setAttribute("aria-busy", "true");
  const started = performance.now();
  try {
    const found = await search(request(wanted, "on"), signal);
    if (signal.aborted) return;
    const seen = performance.now() - started;
    stop(); // a preview that comes after its search tells nothing new
    show(found, wanted, { pending: false });
    timings.show(found.timings, seen);
    tell(found);
  } catch (error) {
    if (error.name !== "AbortError") refused(error);
  }
}

function show(found, wanted, { pending }) {
  const focused = document.activeElement?.dataset?.id;
  const unranked = !pending && found.rerank_fingerprint === "";
  hits = found.hits;
  clear();
  byId("welcome").hidden = true;
  byId("results").hidden = hits.length === 0;
  byId("results").className = unranked ? "unranked" : pending ? "pending" : "";
  byId("results").setAttribute("aria-busy", String(pending));
  const { filterable } = known.get(wanted.collection);
  lists.show(hits, { pending, both: wanted.recall === "hybrid", filterable });
  lists.caption("recalled", found.degraded.includes("embed_unavailable") ? WORDS.bm25 : WORDS[wanted.recall]);
  lists.caption("reranked", pending ? "reading…" : "");
  if (!pending) floor();
  lines.light(null);
  lines.draw({ moving: !pending && !unranked });
  if (focused) keyboard.focus(lists.rows(unranked ? "recalled" : "reranked").find((row) => row.dataset.id === focused));
}

function floor() {
  if (byId("results").className) return; // without the second stage there is no score to hold against it
  const wanted = wishes().floor;
  const left = lists.sink(hits, wanted);
  const { weight } = known.get(wishes().collection);
  const way = weight ? `by cross-encoder + ${Number(weight.toFixed(2))} × cosine` : "by cross-encoder";
  lists.caption("reranked", wanted ? `${left} of ${hits.length} reach ${wanted.toFixed(2)}` : way);
}

function tell(found) {
  const missing = found.degraded.map((reason) => MISSING[reason] ?? reason);
  notice(missing.join(" "), "degraded");
  if (found.hits.length === 0) notice(wishes().filter ? "Nothing was found with this filter." : "Nothing was found.", "");
  const moved = found.hits.filter((hit, place) => hit.recall_rank !== place + 1).length;
  byId("status").textContent =
    `${whole(found.recalled)} passages in ${milliseconds(found.timings.total_us)}, ${moved} of them moved. ${missing.join(" ")}`;
}

function refused(error) {
  if (!(error instanceof Refusal)) throw error;
  byId("results").setAttribute("aria-busy", "false");
  if (error.status === 401) return askForKey(error.message);
  if (error.field === "filter") {
    say(byId("filter-problem"), error.message.replace(/^filter: /, ""));
    byId("filter").setAttribute("aria-invalid", "true");
    return;
  }
  if (byId("results").className === "pending") byId("results").className = "unranked";
  notice(error.message, "problem");
  if (error.passing) again(error.retryAfter ?? 2, now);
}

function again(seconds, act) {
  const pause = Math.min(LONGEST_PAUSE_S, Math.max(1, seconds));
  byId("notice").append(` Trying again in ${pause} s.`);
  later(pause * 1000, act);
}

function clear() {
  notice("", "");
  say(byId("filter-problem"), "");
  byId("filter").removeAttribute("aria-invalid");
}

function notice(text, kind) {
  say(byId("notice"), text);
  byId("notice").className = kind;
}

function welcome() {
  clear();
  intoAddress();
  hits = [];
  byId("results").hidden = true;
  byId("timings").hidden = true;
  byId("welcome").hidden = false;
}

function askForKey(reason) {
  stop();
  byId("login").hidden = false;
  byId("search").hidden = true;
  document.querySelector(".picker").hidden = true;
  byId("forget").hidden = true;
  say(byId("refused"), key() ? reason : "");
  byId("key").focus();
}

async function open() {
  const named = fromAddress();
  showValues();
  try {
    fill(await collections(), named);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) return askForKey(error.message);
    byId("search").hidden = false;
    byId("forget").hidden = !key();
    notice(error.message, "problem");
    if (error.passing) again(error.retryAfter ?? 2, open);
  }
}

function fill(collections, named) {
  clear();
  byId("login").hidden = true;
  byId("search").hidden = false;
  byId("forget").hidden = !key();
  known.clear();
  for (const { name, count, fields, recall_weight } of collections) {
    known.set(name, { count, weight: recall_weight, filterable: new Set(fields.map((field) => field.name)) });
  }
  const names = [...known.keys()].sort((a, b) => a.localeCompare(b));
  byId("collection").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  document.querySelector(".picker").hidden = names.length === 0;
  if (names.length === 0) {
    return notice("There is no collection yet. “siftline index FILE --collection NAME” makes one.", "");
  }
  const largest = names.reduce((a, b) => (known.get(b).count > known.get(a).count ? b : a));
  byId("collection").value = known.has(named) ? named : largest;
  picked();
  fit();
  byId("query").focus();
  if (wishes().query) now();
}

function picked() {
  const { count, filterable } = known.get(byId("collection").value);
  byId("size").textContent = `${whole(count)} ${count === 1 ? "passage" : "passages"}`;
  const [first] = filterable;
  byId("filter").placeholder = first ? `${first} = …` : "this collection has no fields";
  byId("filter").title = first ? `Fields: ${[...filterable].join(", ")}` : "";
}

// As tall as the question is long.
function fit() {
  const query = byId("query");
  query.style.height = "auto";
  query.style.height = `${query.scrollHeight}px`;
}

function listen() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    now();
  });
  byId("query").addEventListener("input", () => {
    fit();
    soon();
  });
  byId("query").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    now();
  });
  addEventListener("resize", fit);
  byId("adjust").addEventListener("click", () => {
    const open = byId("adjust").getAttribute("aria-expanded") === "true";
    byId("adjust").setAttribute("aria-expanded", String(!open));
  });
  byId("filter").addEventListener("change", now);
  byId("depth").addEventListener("input", showValues);
  byId("depth").addEventListener("change", now);
  document.querySelectorAll("input[name=recall]").forEach((each) => each.addEventListener("change", now));
  byId("floor").addEventListener("input", () => {
    showValues();
    floor();
    lines.draw();
  });
  byId("floor").addEventListener("change", intoAddress);
  byId("collection").addEventListener("change", () => {
    picked();
    now();
  });
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(byId("key").value.trim());
    byId("key").value = "";
    open();
  });
  byId("forget").addEventListener("click", () => {
    keep("");
    welcome();
    open();
  });
  listenToRows(byId("results"));
  new ResizeObserver(lines.redraw).observe(byId("results"));
  addEventListener("hashchange", open);
}

function listenToRows(results) {
  results.addEventListener("click", (event) => {
    const button = event.target.closest("button.row");
    if (!button) return;
    lists.toggle(button);
    lines.draw();
  });
  const point = (event) => lines.light(event.target.closest?.("button.row")?.dataset.id ?? null);
  results.addEventListener("pointerover", point);
  results.addEventListener("focusin", point);
  results.addEventListener("pointerleave", () => lines.light(document.activeElement?.dataset?.id ?? null));
  results.addEventListener("focusout", () => lines.light(null));
}

theme.listen();
keyboard.listen();
listen();
open();
