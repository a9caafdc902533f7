// Where the time of a search went: one bar, to scale, and the same in figures.

import { byId, element } from "./dom.js";
import { milliseconds } from "./numbers.js";

// timings: of the reply, in microseconds; seen: what the browser waited, in milliseconds.
export function show(timings, seen) {
  const { embed_us, recall_us, rerank_us, total_us, embedding_cached } = timings;
  const rest = Math.max(0, total_us - embed_us - recall_us - rerank_us);
  const away = Math.max(0, seen * 1000 - total_us);
  const stages = [
    ["embed", embedding_cached ? "embed, cached" : "embed", embed_us],
    ["recall", "recall", recall_us],
    ["rerank", "rerank", rerank_us],
    ["rest", "gateway", rest],
    ["away", "network", away],
  ].filter(([, , time]) => time >= 50);
  const place = byId("timings");
  place.querySelector(".bar").replaceChildren(...stages.map(([kind, , time]) => part(kind, time)));
  const figures = stages.map(([kind, name, time]) => figure(kind, name, milliseconds(time)));
  place.querySelector("ul").replaceChildren(...figures, figure("total", "total", milliseconds(total_us + away)));
  place.hidden = false;
}

function part(kind, time) {
  const made = element("span", { class: kind });
  made.style.flexGrow = String(time);
  return made;
}

const figure = (kind, name, value) => element("li", { class: kind }, element("span", {}, name), element("b", {}, value));
