// Lines from each passage's place in recall to its place after the reranker.

import { byId } from "./dom.js";
import { rows } from "./lists.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const MOVE_MS = 480;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let frame = 0;
let lit = null; // id of the passage whose line is brought out

// Lines as the rows lie now. moving: the rows on the right slide there from their places in recall.
export function draw({ moving = false } = {}) {
  cancelAnimationFrame(frame);
  frame = 0;
  const pairs = measure();
  if (!moving || still.matches) {
    place(pairs, 1);
    return;
  }
  const started = performance.now();
  const step = (now) => {
    const passed = Math.min(1, Math.max(0, (now - started) / MOVE_MS));
    place(pairs, 1 - (1 - passed) ** 3);
    frame = passed < 1 ? requestAnimationFrame(step) : 0;
    if (!frame) draw(); // the page may have been resized meanwhile
  };
  place(pairs, 0);
  frame = requestAnimationFrame(step);
}

// After a change of size. Rows on their way arrive first.
export function redraw() {
  if (!frame) draw();
}

// Brings out the line of one passage and lets the others recede; null for all alike.
export function light(id) {
  lit = id;
  byId("results").classList.toggle("lit", id !== null);
  for (const each of document.querySelectorAll("#results [data-id]")) {
    each.classList.toggle("on", each.dataset.id === id);
  }
}

function measure() {
  const canvas = byId("lines");
  const box = canvas.getBoundingClientRect();
  const middle = (button) => {
    const its = button.getBoundingClientRect();
    return its.top + its.height / 2 - box.top;
  };
  const left = rows("recalled");
  const ends = new Map(left.map((button) => [button.dataset.id, middle(button)]));
  const right = rows("reranked");
  for (const button of right) button.style.transform = "";
  const pairs = [];
  right.forEach((button, index) => {
    const from = ends.get(button.dataset.id);
    if (from === undefined) return; // only on the right
    pairs.push({ button, from, to: middle(button), path: line(button, index, left), width: box.width });
  });
  canvas.replaceChildren(...pairs.map((pair) => pair.path));
  return pairs;
}

function line(button, index, left) {
  const was = left.findIndex((each) => each.dataset.id === button.dataset.id);
  const path = document.createElementNS(NAMESPACE, "path");
  path.setAttribute("class", was > index ? "up" : was < index ? "down" : "same");
  path.classList.toggle("sunk", button.parentElement.classList.contains("sunk"));
  path.classList.toggle("on", button.dataset.id === lit);
  path.dataset.id = button.dataset.id;
  return path;
}

function place(pairs, passed) {
  for (const { button, from, to, path, width } of pairs) {
    const now = from + (to - from) * passed;
    button.style.transform = passed < 1 ? `translateY(${now - to}px)` : "";
    const bend = width / 2;
    path.setAttribute("d", `M0 ${from}C${bend} ${from} ${bend} ${now} ${width} ${now}`);
  }
}
