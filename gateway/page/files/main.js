// The page put together: what happens when it opens, and what each control does.

import * as collections from "./collections.js";
import { byId } from "./dom.js";
import { Refusal } from "./gateway.js";
import * as keyboard from "./keyboard.js";
import * as lines from "./lines.js";
import * as lists from "./lists.js";
import * as login from "./login.js";
import * as notices from "./notices.js";
import * as results from "./results.js";
import * as searching from "./searching.js";
import * as theme from "./theme.js";
import { fromAddress, intoAddress, showValues, wishes } from "./wishes.js";

async function open() {
  searching.stop();
  const wanted = fromAddress();
  showValues();
  try {
    const count = await collections.load(wanted);
    login.leave();
    notices.clear();
    if (count === 0) return notices.notice("There is no collection yet. “siftline index FILE --collection NAME” makes one.");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) return login.ask(error.message);
    login.leave();
    return searching.again(error, open);
  }
  fit();
  byId("query").focus();
  if (wishes().query) searching.now();
}

// As tall as the question is long.
function fit() {
  const query = byId("query");
  query.style.height = "auto";
  query.style.height = `${query.scrollHeight}px`;
}

function listenToQuestion() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    searching.now();
  });
  byId("query").addEventListener("input", () => {
    fit();
    searching.soon();
  });
  byId("query").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    searching.now();
  });
  addEventListener("resize", fit);
}

function listenToControls() {
  document.querySelectorAll("input[name=recall]").forEach((each) => each.addEventListener("change", searching.now));
  byId("against").addEventListener("change", searching.now);
  byId("filter").addEventListener("change", searching.now);
  byId("depth").addEventListener("input", showValues);
  byId("depth").addEventListener("change", searching.now);
  byId("floor").addEventListener("input", () => {
    showValues();
    results.floor();
    lines.draw();
  });
  byId("floor").addEventListener("change", intoAddress);
  byId("collection").addEventListener("change", () => {
    collections.describe();
    searching.now();
  });
  byId("adjust").addEventListener("click", () => {
    const open = byId("adjust").getAttribute("aria-expanded") === "true";
    byId("adjust").setAttribute("aria-expanded", String(!open));
  });
}

function listenToRows(place) {
  place.addEventListener("click", (event) => {
    const button = event.target.closest("button.row");
    if (!button) return;
    lists.toggle(button);
    lines.draw();
  });
  const point = (event) => lines.light(event.target.closest?.("button.row")?.dataset.id ?? null);
  place.addEventListener("pointerover", point);
  place.addEventListener("focusin", point);
  place.addEventListener("pointerleave", () => lines.light(document.activeElement?.dataset?.id ?? null));
  place.addEventListener("focusout", () => lines.light(null));
  new ResizeObserver(lines.redraw).observe(place);
}

theme.listen();
keyboard.listen();
listenToQuestion();
listenToControls();
listenToRows(byId("results"));
login.listen(() => {
  results.hide();
  open();
});
document.addEventListener(searching.KEY_WANTED, (event) => login.ask(event.detail));
addEventListener("hashchange", open);
open();
