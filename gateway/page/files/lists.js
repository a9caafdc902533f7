// The two orders, side by side. A passage is a row in each; one of the two may be open for reading.

import { element, unseen } from "./dom.js";
import { score } from "./numbers.js";
import { details } from "./passage.js";

const SNIPPET_CHARACTERS = 280;

export const section = { recalled: ".recalled", reranked: ".reranked" };
const list = (name) => document.querySelector(`${section[name]} ol`);

// hits in final order. pending: the second stage has not answered yet. both: recall was hybrid. filterable: field names.
export function show(hits, { pending, both, filterable }) {
  const recalled = [...hits].sort((a, b) => a.recall_rank - b.recall_rank);
  list("recalled").replaceChildren(...recalled.map((hit) => row(hit, hit.recall_rank, recallEnd(hit, both), filterable)));
  list("reranked").replaceChildren(
    ...hits.map((hit, place) => row(hit, place + 1, pending ? [] : rerankEnd(hit, place + 1), filterable)),
  );
  document.querySelector("#results button.row")?.setAttribute("tabindex", "0");
}

export function caption(name, text) {
  document.querySelector(`${section[name]} .by`).textContent = text;
}

export const rows = (name) => [...list(name).querySelectorAll("button.row")];

// The same passage in the other list.
export function counterpart(button) {
  const other = button.closest(section.recalled) ? "reranked" : "recalled";
  return rows(other).find((each) => each.dataset.id === button.dataset.id);
}

// Greys what the floor would leave out; how many stay.
export function sink(hits, floor) {
  const below = new Set(hits.filter((hit) => (hit.rerank_score ?? 1) < floor).map((hit) => hit.id));
  for (const button of [...rows("recalled"), ...rows("reranked")]) {
    button.parentElement.classList.toggle("sunk", below.has(button.dataset.id));
  }
  return hits.length - below.size;
}

export function toggle(button) {
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  button.nextElementSibling.hidden = open;
}

function row(hit, rank, end, filterable) {
  const text = [
    element("span", { class: "title", dir: "auto" }, hit.title || hit.id),
    element("span", { class: "snippet", dir: "auto" }, snippet(hit.text)),
  ];
  const button = element(
    "button",
    { type: "button", class: "row", tabindex: "-1", "aria-expanded": "false" },
    element("span", { class: "rank" }, String(rank)),
    element("span", { class: "words" }, ...text),
    element("span", { class: "end" }, ...end),
  );
  button.dataset.id = hit.id;
  const reading = details(hit, filterable);
  reading.hidden = true;
  return element("li", {}, button, reading);
}

// Found by both ways: the rank that each gave.
function recallEnd(hit, both) {
  const shown = element("span", { class: "score" }, unseen("recall score "), score(hit.recall_score));
  if (!both) return [shown];
  const ranks = [["vector", hit.vector_rank], ["keyword", hit.text_rank]].filter(([, rank]) => rank > 0);
  const marks = ranks.map(([way, rank]) => element("span", {}, unseen(`${way} rank `), mark(way), String(rank)));
  return [shown, element("span", { class: "ways" }, ...marks)];
}

const mark = (way) => element("span", { class: "way", "aria-hidden": "true" }, way[0].toUpperCase());

function rerankEnd(hit, rank) {
  const moved = hit.recall_rank - rank;
  const kind = moved > 0 ? "up" : moved < 0 ? "down" : "same";
  const spoken = moved === 0 ? "unmoved" : `${kind} ${Math.abs(moved)} from ${hit.recall_rank}`;
  const sign = { up: "↑", down: "↓", same: "" }[kind];
  return [
    element("span", { class: "score" }, unseen("rerank score "), score(hit.rerank_score)),
    element(
      "span",
      { class: `moved ${kind}` },
      unseen(spoken),
      element("span", { "aria-hidden": "true" }, moved === 0 ? "" : `${sign}${Math.abs(moved)}`),
    ),
  ];
}

function snippet(text) {
  return text.slice(0, SNIPPET_CHARACTERS).replace(/\s+/gu, " ").trim();
}
