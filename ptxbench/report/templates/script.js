"use strict";
// Neighbours in a row of a listing are partners: nothing but the rows and their spans says what belongs together.
const places = new WeakMap();

function lay(table) {
  if (places.has(table)) return places.get(table);
  const ends = [], cells = [];
  [...table.tBodies[0].rows].forEach((row, start) => {
    let column = 0;
    for (const cell of row.cells) {
      while (ends[column] > start) column++;
      const end = start + cell.rowSpan;
      ends.fill(end, column, column + cell.colSpan);
      for (let i = 0; i < cell.colSpan; i++) ends[column + i] = end;
      const gap = row.className === "gap";
      cells.push({cell, column, start, end, gap});
      column += cell.colSpan;
    }
  });
  const known = {cells, of: new Map(cells.map(each => [each.cell, each]))};
  places.set(table, known);
  return known;
}

// What scrolls can be reached and is named, as browsers do by themselves only in part.
for (const each of document.querySelectorAll(".scroll")) {
  each.tabIndex = 0;
  each.setAttribute("role", "region");
  each.setAttribute("aria-label", (each.querySelector("caption") || each.closest("details, section").firstElementChild).textContent);
}

let lit = [];

function light(cell) {
  lit.forEach(each => each.classList.remove("on", "lit"));
  lit = [];
  if (!cell) return;
  const known = lay(cell.closest("table")), here = known.of.get(cell);
  if (here.gap || !cell.textContent) return;
  for (const there of known.cells) {
    const partner = there.column !== here.column && there.start < here.end && here.start < there.end;
    if (partner && !there.gap && there.cell.textContent) {
      there.cell.classList.add("lit");
      lit.push(there.cell);
    }
  }
  cell.classList.add("on");
  lit.push(cell);
}

const cellAt = target => target instanceof Element ? target.closest(".code tbody td") : null;
addEventListener("pointerover", event => light(cellAt(event.target) || cellAt(document.activeElement)));
addEventListener("focusin", event => light(cellAt(event.target)));

// Arrows walk from line to line once the listing has the focus.
addEventListener("keydown", event => {
  const region = event.target.closest && event.target.closest(".listing .scroll");
  if (!region) return;
  const known = lay(region.querySelector("table")), here = known.of.get(event.target);
  if (event.key === "Escape") return region.focus();
  const [down, right] = {ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1]}[event.key] || [0, 0];
  if (!down && !right) return;
  event.preventDefault();
  const text = known.cells.filter(each => !each.gap && each.cell.textContent);
  let next = text[0];
  if (here && down) {
    const column = text.filter(each => each.column === here.column);
    next = column[column.indexOf(here) + down];
  } else if (here) {
    const side = text.filter(each => Math.sign(each.column - here.column) === right);
    const near = side.filter(each => each.start < here.end && here.start < each.end);
    next = near.sort((a, b) => Math.abs(a.column - here.column) - Math.abs(b.column - here.column))[0];
  }
  if (!next) return;
  next.cell.tabIndex = -1;
  next.cell.focus({preventScroll: true});
  next.cell.scrollIntoView({block: "nearest", inline: "nearest"});
});

// Colours are painted over the text of listings that are open; the text itself stays plain.
const C = /(?<note>\/\/.*)|(?<guard>#\w+|\b__\w+(?:__)?\b)|\b(?<word>extern|const|unsigned|float|int|void|for|while|do|if|else|return|struct|static|inline|double|char|short|long|bool|auto|half|half2|using|template|typename|sizeof|break|continue|true|false|u?int\d+_t|float[24]|u?int[24])\b|(?<number>\b(?:0x[\da-f]+|\d[\d.]*(?:e-?\d+)?)[uf]*\b|"[^"]*")/gi;
const PTX = /(?<note>\/\/.*)|(?<guard>@!?%[\w$]+|^[\w$]+:)|(?<word>(?<![\w.$%])[a-z]\w*(?:\.[\w:]+)+|(?<![\w.$%])(?:bra|ret|exit|trap)\b|(?<![\w$\]])\.[a-z]\w*)|(?<number>(?<![\w%$.])-?(?:0[xfd][\da-f]+|\d+)\b)/gim;
const SASS = /(?<guard>@!?U?P\w+|\.L_\w+:?)|(?<word>(?<=^\d*\t(?:\.L_\w+: )*(?:@!?U?P\w+ )?)[A-Z]\w*(?:\.\w+)*)|(?<number>(?<![\w.])-?(?:0x[\da-f]+|\d+(?:\.\d+)?)\b(?!\t))|(?<note>^\d+(?=\t))/gm;
const KINDS = ["word", "number", "guard", "note"];

function paint(table) {
  const sets = KINDS.map(kind => CSS.highlights.get(kind) || CSS.highlights.set(kind, new Highlight()).get(kind));
  for (const {cell, gap} of lay(table).cells) {
    const text = cell.firstChild && (cell.firstChild.firstChild || cell.firstChild);
    if (gap || !text) continue;
    const left = cell.parentElement.cells.length - cell.cellIndex;
    for (const found of text.data.matchAll([SASS, PTX, C][left - 1])) {
      KINDS.forEach((kind, i) => {
        const word = found.groups[kind];
        if (word === undefined) return;
        const range = new Range();
        range.setStart(text, found.index);
        range.setEnd(text, found.index + word.length);
        sets[i].add(range);
      });
    }
  }
}

const painted = new WeakSet();
addEventListener("toggle", event => {
  const table = event.target.open && event.target.querySelector(".code");
  if (!table || painted.has(table) || !CSS.highlights) return;
  painted.add(table);
  paint(table);
}, true);
