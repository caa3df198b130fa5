// Elements. Text goes in by textContent and by attributes that hold no code, here
// and everywhere: never as markup.

import { clock } from "./text.js";

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in e && name !== "role") e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

// A part of a drawing in SVG.
export function shape(name, className, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  if (className) node.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// Setting what is there already would cost a layout each second for each cell.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setTitle(node, text) {
  if (node.title !== text) node.title = text;
}

// A figure shows short text, and has its exact value beside.
export function setFigure(node, exact, text, unit) {
  setText(node, text);
  node.value = String(exact);
  setTitle(node, `${exact.toLocaleString("en-GB", { maximumFractionDigits: 0 })} ${unit}`);
}

export function setTime(node, milliseconds, now) {
  const iso = new Date(milliseconds).toISOString();
  node.dateTime = iso;
  setTitle(node, iso);
  setText(node, clock(milliseconds, now));
}

// Makes parent's children those of items, in their order: one element for each key,
// made once and updated after. The element with the focus is never moved, for
// moving would take the focus from it; the others are put around it.
export function keyed(parent, made, items, key, create, update) {
  const wanted = new Set();
  const nodes = items.map((item, i) => {
    const k = key(item);
    wanted.add(k);
    let node = made.get(k);
    if (!node) made.set(k, (node = create(item)));
    update(node, item, i);
    return node;
  });
  for (const [k, node] of made) {
    if (!wanted.has(k)) {
      made.delete(k);
      node.remove();
    }
  }
  const fixed = nodes.findIndex((node) => node.contains(document.activeElement));
  let next = null;
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (i !== fixed && (nodes[i].parentNode !== parent || nodes[i].nextSibling !== next)) parent.insertBefore(nodes[i], next);
    next = nodes[i];
  }
}
