// Light, dark, or as the system says.

import { byId } from "./dom.js";

const NAME = "siftline-theme";
const CHOICES = ["auto", "light", "dark"];

export function listen() {
  let chosen = remembered();
  apply(chosen);
  byId("theme").addEventListener("click", () => {
    chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
    apply(chosen);
  });
}

function apply(chosen) {
  document.documentElement.dataset.theme = chosen;
  byId("theme").querySelector("span").textContent = { auto: "Auto", light: "Light", dark: "Dark" }[chosen];
  byId("theme").title = "Light, dark, or as the system says";
  try {
    localStorage.setItem(NAME, chosen);
  } catch {
    // then it is for this page only
  }
}

function remembered() {
  try {
    const said = localStorage.getItem(NAME);
    return CHOICES.includes(said) ? said : "auto";
  } catch {
    return "auto";
  }
}
