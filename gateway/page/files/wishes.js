// What is asked for: the controls, and the address's fragment, which no server ever sees.

import { byId } from "./dom.js";

export const DEPTHS = [5, 10, 20, 30, 50, 75, 100, 150, 200];
const DEFAULT = { q: "", c: "", recall: "vector", against: "rerank", depth: "30", floor: "0", filter: "" };

export function wishes() {
  return {
    query: byId("query").value.trim(),
    collection: byId("collection").value,
    recall: document.querySelector("input[name=recall]:checked").value,
    against: byId("against").value,
    depth: DEPTHS[byId("depth").value],
    floor: Number(byId("floor").value),
    filter: byId("filter").value.trim(),
  };
}

// Sets the controls as the address says; the collection's name is for whoever fills the picker.
export function fromAddress() {
  const said = { ...DEFAULT, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
  byId("query").value = said.q;
  byId("filter").value = said.filter;
  byId("floor").value = said.floor;
  const nearest = DEPTHS.findIndex((depth) => depth >= Number(said.depth));
  byId("depth").value = nearest < 0 ? DEPTHS.length - 1 : nearest;
  const way = [...document.querySelectorAll("input[name=recall]")].find((each) => each.value === said.recall);
  if (way) way.checked = true;
  byId("against").value = said.against;
  if (!byId("against").value) byId("against").value = DEFAULT.against;
  return said.c;
}

export function intoAddress() {
  const { query, collection, recall, against, depth, floor, filter } = wishes();
  const said = { q: query, c: collection, recall, against, depth: String(depth), floor: String(floor), filter };
  const kept = Object.entries(said).filter(([name, value]) => value !== DEFAULT[name]);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

export function showValues() {
  const { depth, floor } = wishes();
  byId("depth-shown").textContent = depth;
  byId("depth").setAttribute("aria-valuetext", `${depth} passages`);
  byId("floor-shown").textContent = floor ? floor.toFixed(2) : "none";
  byId("floor").setAttribute("aria-valuetext", floor ? `rerank score ${floor.toFixed(2)}` : "none");
}
