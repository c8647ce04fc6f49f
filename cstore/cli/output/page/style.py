"""The style sheet, the patterns and the script of the page: constants, which contain no data of a store."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--card:#f4f5f7;--ink:#1c2127;--faint:#5b6470;--line:#d5d9df;--accent:#1f5fa8;
--hatch:#fff}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1e2329;--ink:#e6e9ed;--faint:#a0a9b4;--line:#39414b;
--accent:#7db4f0;--hatch:#14171b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:75rem;padding:1rem clamp(.75rem,3vw,2rem) 3rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.2rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
p{margin:.4rem 0}small,.faint,.caption,.legend{color:var(--faint)}
a{color:var(--accent)}a:focus-visible,button:focus-visible,summary:focus-visible,[tabindex]:focus-visible{
outline:2px solid var(--accent);outline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.6rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:.8rem 0}
.cards div{background:var(--card);border-radius:.5rem;padding:.6rem .8rem;overflow-wrap:anywhere}
.cards dt{color:var(--faint);font-size:.85rem}.cards dd{margin:0;font-size:1.15rem;font-weight:600}
.cards small{font-weight:400}
dl{margin:0}code{font-size:.88em;overflow-wrap:anywhere}
.scroll{overflow:auto;max-height:75vh;border:1px solid var(--line);border-radius:.5rem;position:relative}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;vertical-align:top;
border-bottom:1px solid var(--line)}th{position:sticky;top:0;background:var(--card);white-space:nowrap;font-weight:600}
td{overflow-wrap:anywhere;min-width:7rem}td:first-child{min-width:11rem}
td.r{min-width:0}
#findings td:first-child{min-width:6rem;width:6rem}
.r{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
th button{all:unset;cursor:pointer}th button::after{content:" ↕";color:var(--faint)}
th[aria-sort=ascending] button::after{content:" ↑"}th[aria-sort=descending] button::after{content:" ↓"}
input{font:inherit;padding:.3rem .6rem;border:1px solid var(--line);border-radius:.4rem;background:var(--card);
color:inherit;margin:.3rem 0;width:min(100%,22rem)}
svg{display:block;font:12px system-ui,sans-serif}svg svg{overflow:hidden}
.treemap{width:100%;height:clamp(20rem,56vh,34rem)}.treemap rect{stroke:var(--paper);stroke-width:1.5}
.treemap text{fill:#fff;pointer-events:none}.item.on rect{stroke:var(--ink);stroke-width:5}
.g-shared{fill:#1f5fa8;--c:#1f5fa8}.g-unique{fill:#17704f;--c:#17704f}.g-container{fill:#6a45b0;--c:#6a45b0}
.g-unused{fill:#8a5a00;--c:#8a5a00}.g-orphaned{fill:#b03328;--c:#b03328}.g-quarantined{fill:#a03a6a;--c:#a03a6a}
.g-internal{fill:#59616b;--c:#59616b}.g-foreign{fill:#0f6c7a;--c:#0f6c7a}
.swatch{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;background:var(--c);margin-right:.4rem;
vertical-align:-.08rem;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.caption{min-height:1.5em;overflow-wrap:anywhere}
.scatter{width:100%;height:22rem}.scatter line{stroke:var(--line)}.scatter text{fill:var(--faint)}
.m{text-anchor:middle}circle{fill:var(--accent)}.scatter circle{fill-opacity:.65}
.scatter circle.idle{fill:none;stroke:var(--accent);
stroke-width:1.5;pointer-events:all}.scatter circle.on{fill:var(--ink);fill-opacity:1}
.dot{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;background:var(--accent);
border:1.5px solid var(--accent)}
.dot.idle{background:none;margin-left:.8rem}
.tree{width:100%;overflow:hidden}.tree text{fill:var(--ink);font-size:13px}.tree path{fill:none;stroke:var(--faint)}
.tree circle{fill:var(--faint)}
details{border-bottom:1px solid var(--line);padding:.35rem .5rem}summary{cursor:pointer;overflow-wrap:anywhere}
.fall{margin:.4rem 0;padding-left:2rem}.fall li{margin:.35rem 0;overflow-wrap:anywhere}.fall span{color:var(--faint);
font:12px/1.4 ui-monospace,monospace;display:block}.fall code{color:var(--faint);margin-left:.4rem}
.bar{width:100%;height:12px;background:var(--card);margin:.15rem 0}.bar rect{fill:var(--accent)}
.bar rect.ov,.key .ov{fill:url(#ov)}.bar rect.de,.key .de{fill:url(#de)}
.key{white-space:nowrap;margin-left:.3rem}.key svg{display:inline-block;vertical-align:-.1rem}
.tag{border:1px solid currentColor;border-radius:.3rem;padding:0 .35rem;font-size:.85rem;white-space:nowrap}
.s-data,.s-records{color:#b03328}@media (prefers-color-scheme:dark){.s-data,.s-records{color:#ff8a7d}}
.flaw{border-left:4px solid #b03328;padding:.2rem .7rem;margin:.5rem 0;overflow-wrap:anywhere}
.notes li{overflow-wrap:anywhere}
@media (max-width:600px){.n{display:none}th,td{padding:.3rem .4rem}body{font-size:14px}.fall{padding-left:1.6rem}
td:first-child{min-width:9rem}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--faint:#444;--line:#bbb;--accent:#1f5fa8;--hatch:#fff}
nav,input,.caption{display:none}.scroll{max-height:none;overflow:visible;border:0}th{position:static}
.treemap{height:11cm}.s-data,.s-records{color:#b03328}li,tr{break-inside:avoid}body{font-size:10pt}}
"""

PATTERNS = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    '<pattern id="ov" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" fill="#c46a00"/><rect width="3" height="6" style="fill:var(--hatch)"/></pattern>'
    '<pattern id="de" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
    '<rect width="6" height="6" fill="#c0392b"/><rect width="3" height="6" style="fill:var(--hatch)"/></pattern>'
    "</defs></svg>"
)

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" ||
        (!head.hasAttribute("aria-sort") && !head.classList.contains("r"));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const both = (a, b) => isNaN(a) || isNaN(b) || a === "" || b === "" ? a.localeCompare(b) : a - b;
      body.append(...[...body.rows].sort((a, b) => both(key(a), key(b)) * (up ? 1 : -1)));
    });
  });
}
for (const chart of document.querySelectorAll(".explore")) {
  const items = [...chart.querySelectorAll(".item")], caption = chart.nextElementSibling;
  const hint = "Point at one, tap it or use the arrow keys to see what it is.";
  let here = -1;
  caption.textContent = hint;
  const show = place => {
    items[here]?.classList.remove("on");
    here = place;
    items[here]?.classList.add("on");
    caption.textContent = items[here]?.querySelector("title").textContent ?? hint;
  };
  chart.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    show((Math.max(here, step < 0 ? 0 : -1) + step + items.length) % items.length);
  });
  for (const word of ["pointerover", "click"]) chart.addEventListener(word, event => {
    const found = items.indexOf(event.target.closest(".item"));
    if (found >= 0) show(found);
  });
  chart.addEventListener("blur", () => show(-1));
}
const box = document.querySelector("input[type=search]");
if (box) {
  box.hidden = false;
  const rows = [...document.querySelectorAll("#images tbody tr")];
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
"""
