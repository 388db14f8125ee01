// The filled text: a button for each blank, with a menu of what else could stand there.

import { partsOf } from "./blanks.js";

/**
 * Draw a text with its fills.
 *
 * `fills` maps a blank to `{ text, tokens, probability, confidence, alternatives }`; `confidence` is
 * that of being right, if the model is calibrated. Tokens are
 * `{ text, probability }`. `pins` maps a blank to its pinned text. `choose(blank, text)` is called
 * when a person pins a text, with null to open the blank again.
 */
export function drawAnswer(place, text, fills, pins, choose) {
  place.replaceChildren(
    ...partsOf(text).map((part) =>
      "blank" in part
        ? drawBlank(part, fills.get(part.blank), pins.get(part.blank), choose)
        : document.createTextNode(part.text),
    ),
  );
}

function drawBlank(part, fill, pinned, choose) {
  const place = element("span", { className: "fill" });
  const button = element("button", { type: "button" });
  button.dataset.pinned = String(pinned !== undefined);
  button.dataset.blank = part.blank;
  const shown = pinned ?? fill?.text;
  const state = pinned !== undefined ? ", pinned" : "";
  button.setAttribute("aria-label", `Blank ${part.blank + 1}: ${shown || "nothing yet"}${state}`);
  if (pinned !== undefined) button.append(pinned);
  else if (fill) button.append(...drawTokens(fill));
  else button.append(element("span", { className: "waiting", textContent: part.kind }));
  place.append(button);
  if (pinned === undefined && typeof fill?.confidence === "number") {
    const sure = element("span", { className: "share confidence", textContent: percent(fill.confidence) });
    sure.title = "Confidence: the calibrated probability that this is right";
    place.append(sure);
  }
  if (shown !== undefined) {
    button.title = titleOf(fill, pinned);
    button.setAttribute("aria-haspopup", "menu");
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggleMenu(place, part.blank, fill, pinned, choose));
  }
  return place;
}

function drawTokens(fill) {
  if (fill.tokens.length === 0) return [element("span", { className: "waiting", textContent: "…" })];
  return fill.tokens.map((token) => {
    const drawn = element("span", { className: "token", textContent: token.text });
    drawn.style.setProperty("--sure", (0.04 + 0.4 * token.probability).toFixed(3));
    drawn.title = `${token.text.trim()}: ${percent(token.probability)}`;
    return drawn;
  });
}

function titleOf(fill, pinned) {
  if (pinned !== undefined) return "Pinned by you";
  const tokens = fill.tokens.map((token) => `${token.text.trim()} ${percent(token.probability)}`);
  const sure = typeof fill.confidence === "number" ? `confidence ${percent(fill.confidence)}\n` : "";
  return `${sure}${percent(fill.probability)} as a whole\n${tokens.join("\n")}`;
}

function toggleMenu(place, blank, fill, pinned, choose) {
  const button = place.querySelector("button");
  const wasOpen = place.querySelector(".menu") !== null;
  closeMenus();
  if (wasOpen) return;
  const menu = element("ul", { className: "menu" });
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", `What could stand in blank ${blank + 1}`);
  const pin = (text) => {
    closeMenus();
    choose(blank, text);
  };
  if (pinned !== undefined) menu.append(item("Open this blank again", "", () => pin(null)));
  else menu.append(item(`Pin “${fill.text}”`, shareOf(fill), () => pin(fill.text)));
  const others = (fill?.alternatives ?? []).filter((one) => one.text !== (pinned ?? fill.text));
  menu.append(...others.map((one) => item(one.text || "(nothing)", percent(one.share), () => pin(one.text))));
  menu.addEventListener("keydown", (event) => moveInMenu(event, menu, button));
  place.append(menu);
  button.setAttribute("aria-expanded", "true");
  menu.querySelector("button").focus();
}

/** Among the alternatives where they are known, otherwise as a whole. */
function shareOf(fill) {
  const found = fill.alternatives.find((one) => one.text === fill.text);
  return percent(found ? found.share : fill.probability);
}

function item(text, share, act) {
  const button = element("button", { type: "button" });
  button.setAttribute("role", "menuitem");
  button.append(element("span", { textContent: text }), element("span", { className: "share", textContent: share }));
  button.addEventListener("click", act);
  const line = element("li", {});
  line.setAttribute("role", "none");
  line.append(button);
  return line;
}

function moveInMenu(event, menu, opener) {
  const items = [...menu.querySelectorAll("button")];
  const at = items.indexOf(document.activeElement);
  const to = {
    ArrowDown: (at + 1) % items.length,
    ArrowUp: (at + items.length - 1) % items.length,
    Home: 0,
    End: items.length - 1,
  }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    items[to].focus();
  } else if (event.key === "Escape") {
    event.stopPropagation();
    closeMenus();
    opener.focus();
  } else if (event.key === "Tab") {
    closeMenus();
  }
}

export function closeMenus() {
  for (const menu of document.querySelectorAll(".menu")) {
    menu.parentElement.querySelector("button").setAttribute("aria-expanded", "false");
    menu.remove();
  }
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.(".fill")) closeMenus();
});

export function percent(share) {
  const figure = 100 * share;
  if (figure > 0 && figure < 0.1) return "< 0.1 %";
  return `${figure < 10 ? figure.toFixed(1) : Math.round(figure)} %`;
}

export function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}
