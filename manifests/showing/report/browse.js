"use strict";
(() => {
  const PAGE = 48;
  const byId = id => document.getElementById(id);
  const make = (name, facts = {}, ...inside) => {
    const made = Object.assign(document.createElement(name), facts);
    made.append(...inside);
    return made;
  };

  // Enlarging: of a contact sheet's strip, and of a row of the list.
  const large = make("dialog", { ariaLabel: "Enlarged" });
  const enlarge = (cells, facts) => {
    const close = make("form", { method: "dialog" }, make("button", { className: "plain" }, "Close"));
    const side = cells.map(([label, cell]) => make("figure", {}, cell, make("figcaption", {}, label)));
    large.style.setProperty("--side", cells.length || 1);
    const list = make("dl", { className: "pairs" });
    for (const [name, value] of facts) list.append(make("dt", {}, name), make("dd", {}, make("bdi", {}, value)));
    large.replaceChildren(close, make("div", { className: "large" }, ...side), list);
    large.showModal();
  };
  large.addEventListener("click", event => { if (event.target === large) large.close(); });
  document.body.append(large);
  for (const strip of document.querySelectorAll("button.strip")) {
    const caption = strip.parentElement.querySelector("figcaption");
    strip.addEventListener("click", () => {
      const cells = [...strip.querySelectorAll(".cell:not(.none)")];
      enlarge(cells.map(cell => [cell.dataset.label, cell.cloneNode(true)]), [["row", caption.dataset.name], ["", caption.innerText.split("\n")[0]]]);
    });
  }

  const data = byId("rows-data");
  if (!data) return;
  const rows = JSON.parse(data.textContent);
  const form = byId("filters"), field = form.elements;
  const ticked = new Set();
  const [before, after] = ["before", "after"].map(name => document.querySelectorAll(`#browser .${name}`));
  let shown = [], page = 0;

  const person = row => rows.person[row] < 0 ? "" : rows.people[rows.person[row]];
  const camera = row => rows.camera[row] === null ? "" : `camera\u00a0${rows.camera[row]}`;
  const written = value => value === null || value === undefined ? "" : String(value).replace("-", "−");
  const score = () => rows.scores[field.score.value];

  const option = (text, value) => make("option", { value }, text);
  const known = [...new Set(rows.camera)].filter(one => one !== null).sort((a, b) => a - b);
  field.camera.append(option("any", ""), ...known.map(one => option(one, one)));
  if (rows.camera.includes(null) && known.length) field.camera.append(option("not known", "null"));
  field.score.append(...rows.scores.map((one, place) => option(one.title, place)));
  const has = { person: rows.people.length, camera: known.length, score: rows.scores.length };
  const asks = { person: ["person"], camera: ["camera"], score: ["score", "least", "most", "order"] };
  for (const [what, names] of Object.entries(asks)) for (const name of names) field[name].parentElement.hidden = !has[what];
  byId("people").append(...rows.people.slice(0, 2000).map(name => option(name, name)));

  const choose = () => {
    const who = field.person.value.trim(), exact = rows.people.includes(who);
    const values = score()?.values, least = field.least.valueAsNumber, most = field.most.valueAsNumber;
    shown = rows.id.map((_, row) => row).filter(row =>
      (!who || (exact ? person(row) === who : person(row).includes(who))) &&
      (!field.camera.value || String(rows.camera[row]) === field.camera.value) &&
      (Number.isNaN(least) || (values && values[row] !== null && values[row] >= least)) &&
      (Number.isNaN(most) || (values && values[row] !== null && values[row] <= most)) &&
      (!field.ticked.checked || ticked.has(row)));
    const way = { up: 1, down: -1 }[field.order.value];
    if (way && values) {
      const last = value => value === null ? 1 : 0;
      shown.sort((a, b) => last(values[a]) - last(values[b]) || way * (values[a] - values[b]) || a - b);
    }
    page = 0;
    draw();
  };

  const picture = (row, label) => {
    const alt = [label, person(row) && `identity ${person(row)}`, camera(row)].filter(Boolean).join(", ");
    return make("img", { src: rows.album[rows.pictured[row][label]], alt });
  };
  const open = row => {
    const known = rows.pictured[row] || {};
    enlarge(
      Object.keys(known).map(label => [label, make("div", { className: "cell" }, picture(row, label))]), [
        [rows.key, rows.id[row]],
        ...(has.person ? [["identity", person(row) || "nobody in particular"]] : []),
        ...(has.camera ? [["camera", written(rows.camera[row]) || "not known"]] : []),
        ...rows.scores.map(score => [score.title, written(score.values[row]) || "–"])]);
  };
  const tile = row => {
    const one = score(), known = rows.pictured[row] || {};
    const shot = make("button", { type: "button", className: "shot", ariaLabel: `Enlarge ${rows.id[row]}` },
      rows.own in known ? picture(row, rows.own) : make("span", {}, "no picture here"));
    shot.addEventListener("click", () => open(row));
    const box = make("input", { type: "checkbox", checked: ticked.has(row) });
    const said = [person(row), camera(row), one && written(one.values[row])].filter(Boolean).join(" · ");
    const whole = make("figure", { className: "tile" }, shot, make("label", {}, box, make("span", {}, make("bdi", {}, said || rows.id[row].slice(0, 12)))));
    const show = () => whole.classList.toggle("ticked", ticked.has(row));
    box.addEventListener("change", () => { box.checked ? ticked.add(row) : ticked.delete(row); show(); lists(); });
    show();
    return whole;
  };

  const lists = () => {
    const names = [...ticked].sort((a, b) => a - b).map(row => rows.id[row]);
    byId("lists").hidden = !names.length;
    const text = names.map(name => `image:${name}\n`).join("");
    byId("erase-list").value = text;
    byId("where-list").value = `${rows.key} IN (${names.map(name => `'${name.replaceAll("'", "''")}'`).join(", ")})`;
    byId("save").href = "data:text/plain;charset=utf-8," + encodeURIComponent(text);
    byId("untick").disabled = !names.length;
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    const many = value => value.toLocaleString("en");
    byId("shown").textContent = `${many(shown.length)} of ${many(rows.id.length)} rows, page ${page + 1} of ${pages}, ${many(names.length)} ticked`;
    for (const one of before) one.disabled = page === 0;
    for (const one of after) one.disabled = page + 1 === pages;
  };
  const draw = () => {
    byId("tiles").replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map(tile));
    lists();
  };
  const tick = some => { for (const row of some) ticked.add(row); draw(); };

  document.addEventListener("open-row", event => open(event.detail));
  form.addEventListener("input", choose);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(choose));
  const turn = step => () => { page += step; draw(); form.scrollIntoView({ block: "nearest" }); };
  for (const one of before) one.addEventListener("click", turn(-1));
  for (const one of after) one.addEventListener("click", turn(1));
  byId("tick-page").addEventListener("click", () => tick(shown.slice(page * PAGE, (page + 1) * PAGE)));
  byId("tick-all").addEventListener("click", () => tick(shown));
  byId("untick").addEventListener("click", () => { ticked.clear(); field.ticked.checked ? choose() : draw(); });
  for (const text of document.querySelectorAll("#lists textarea")) text.addEventListener("focus", () => text.select());
  choose();
  byId("browser").hidden = false;
})();
