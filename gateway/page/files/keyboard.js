// Everything can be done from the keyboard; the dialog says how.

import { byId } from "./dom.js";
import { counterpart, rows, section } from "./lists.js";

const typing = (target) => target.matches?.("input:not([type=range], [type=radio]), select, textarea");

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || byId("keys").open) return;
    const act = action(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
  byId("help").addEventListener("click", () => byId("keys").showModal());
}

function action({ key, target }) {
  const query = byId("query");
  if (target === query && key === "ArrowDown" && query.selectionEnd === query.value.length) {
    return () => focus(rows("reranked").find(visible) ?? rows("recalled")[0]);
  }
  if (key === "Escape" && target !== query) return () => query.select();
  if (typing(target)) return null;
  if (key === "/") return () => query.select();
  if (key === "?") return () => byId("keys").showModal();
  return target.matches?.("#results button.row") ? step(key, target) : null;
}

function step(key, button) {
  const here = rows(button.closest(section.recalled) ? "recalled" : "reranked");
  const at = here.indexOf(button);
  switch (key) {
    case "ArrowDown":
      return () => focus(here[at + 1]);
    case "ArrowUp":
      return () => (at ? focus(here[at - 1]) : byId("query").select());
    case "Home":
      return () => focus(here[0]);
    case "End":
      return () => focus(here.at(-1));
    case "ArrowLeft":
    case "ArrowRight": {
      const other = button.closest(section.recalled) ? "ArrowRight" : "ArrowLeft";
      return () => key === other && focus(counterpart(button));
    }
    default:
      return null;
  }
}

const visible = (button) => button.offsetParent !== null;

// One row at a time is in the tab order.
export function focus(button) {
  if (!button || !visible(button)) return;
  for (const each of document.querySelectorAll("#results button.row[tabindex='0']")) each.tabIndex = -1;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest" });
}
