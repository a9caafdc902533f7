// Elements out of plain values. Text only ever becomes text: there is no way from here to markup.

export const byId = (id) => document.getElementById(id);

// element("li", {class: "row", "aria-current": "true"}, "text", child, null)
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

export const unseen = (text) => element("span", { class: "unseen" }, text);

// Shows `text` in an element that is hidden while there is none.
export function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}
