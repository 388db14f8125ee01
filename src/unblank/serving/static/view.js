// What the model sees: tokens with both positions, and the attention mask.

import { element } from "./answer.js";

const LARGEST_MASK = 400;

/** Draw the rows `{ part, token, position, block_position }` of Part A and then Part B. */
export function drawView(rows, places) {
  const numA = rows.filter((row) => row.part === "A").length;
  const numB = rows.length - numA;
  places.summary.textContent =
    `${numA} tokens of Part A, which see all of Part A; ${numB} of Part B, which see Part A and ` +
    "what is before them.";
  const head = element("thead", {});
  const titles = ["Part", "Token", "Position", "In the blank"].map((title) => {
    const cell = element("th", { textContent: title, scope: "col" });
    return cell;
  });
  const line = element("tr", {});
  line.append(...titles);
  head.append(line);
  const body = element("tbody", {});
  body.append(...rows.map(drawRow));
  places.table.replaceChildren(head, body);
  drawMask(places.mask, rows, numA);
}

/** Draw the rows of a source and an answer of an encoder-decoder: they have no second position. */
export function drawSides(rows, places) {
  drawView(rows, places);
  const count = (part) => rows.filter((row) => row.part === part).length;
  places.summary.textContent = `${count("A")} tokens of the source, ${count("B")} of the answer.`;
  places.mask.hidden = true;
}

function drawRow(row) {
  const line = element("tr", {});
  line.dataset.part = row.part;
  const figures = [row.part, row.token, row.position, row.block_position ?? ""];
  line.append(...figures.map((figure) => element("td", { textContent: String(figure) })));
  return line;
}

/** One rule: a token sees Part A, and the tokens of Part B up to itself if it is one of them. */
function drawMask(canvas, rows, numA) {
  const size = rows.length;
  canvas.hidden = size === 0 || size > LARGEST_MASK;
  if (canvas.hidden) return;
  const cell = Math.max(2, Math.min(12, Math.floor(320 / size)));
  canvas.width = canvas.height = size * cell;
  canvas.setAttribute(
    "aria-label",
    `Attention mask of ${size} tokens: a row is what one token sees. The first ${numA} columns are Part A.`,
  );
  const style = getComputedStyle(document.documentElement);
  const [colourA, colourB] = ["--part-a", "--part-b"].map((name) => style.getPropertyValue(name));
  const paint = canvas.getContext("2d");
  for (let query = 0; query < size; query++) {
    for (let seen = 0; seen < size; seen++) {
      const sees = seen < numA || (query >= numA && seen <= query);
      if (!sees) continue;
      paint.fillStyle = seen < numA ? colourA : colourB;
      paint.fillRect(seen * cell, query * cell, cell - 1, cell - 1);
    }
  }
}
