// The two orders, side by side. A passage is a row in each; one of the two may be open for reading.

import { element } from "./dom.js";
import { details } from "./passage.js";

const SNIPPET_CHARACTERS = 280;

export const section = { recalled: ".recalled", reranked: ".reranked" };
const list = (name) => document.querySelector(`${section[name]} ol`);

// left, right: { hits, end: what stands at the end of a row, of the hit and its rank }. filterable: names of fields.
export function show(left, right, filterable) {
  fill("recalled", left, filterable);
  fill("reranked", right, filterable);
  document.querySelector("#results button.row")?.setAttribute("tabindex", "0");
}

function fill(name, { hits, end }, filterable) {
  list(name).replaceChildren(...hits.map((hit, place) => row(hit, place + 1, end(hit, place + 1), filterable)));
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

function snippet(text) {
  return text.slice(0, SNIPPET_CHARACTERS).replace(/\s+/gu, " ").trim();
}
