"use strict";
(() => {
  const data = document.getElementById("rows-data"), canvas = document.getElementById("map-points");
  if (!data || !canvas) return;
  const rows = JSON.parse(data.textContent), places = rows.map;
  const mapped = rows.id.map((_, row) => row).filter(row => places[row]);
  const field = document.getElementById("map-form").elements.colour, legend = document.getElementById("map-legend");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const EDGE = 14, POINT = 4, NAMED = 60;

  const styled = (name, text, background) => {
    const item = document.createElement("li"), dot = document.createElement("i"), words = document.createElement("bdi");
    item.className = name;
    dot.style.background = background;
    words.textContent = text;
    item.append(dot, words);
    return item;
  };
  // Hues a golden angle apart: neighbours in the list differ, whatever their number.
  const hue = place => `hsl(${(place * 137.508) % 360} 65% ${dark.matches ? 62 : 42}%)`;
  const unknown = () => dark.matches ? "#4a5058" : "#c4c4bd";
  const shade = share => `hsl(${260 - 215 * share} 75% ${dark.matches ? 35 + 35 * share : 32 + 20 * share}%)`;

  const byGroup = (title, names, group) => ({
    title,
    color: row => group(row) < 0 ? unknown() : hue(group(row)),
    legend: () => [
      ...names.slice(0, NAMED).map((name, place) => styled("", name, hue(place))),
      ...(names.length > NAMED ? [styled("", `and ${names.length - NAMED} more`, "none")] : []),
      ...(mapped.some(row => group(row) < 0) ? [styled("", "not known", unknown())] : [])],
  });
  const byScore = score => {
    const known = mapped.map(row => score.values[row]).filter(value => value !== null).sort((a, b) => a - b);
    if (!known.length) return null;
    // Between the 2nd and the 98th of a hundred, so that a few odd rows do not take all the colours.
    const [low, high] = [0.02, 0.98].map(share => known[Math.round(share * (known.length - 1))]);
    const share = value => high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
    const steps = () => [0, 0.25, 0.5, 0.75, 1].map(shade).join(", ");
    return {
      title: score.title,
      color: row => score.values[row] === null ? unknown() : shade(share(score.values[row])),
      legend: () => [styled("scale", `${low} to ${high}`.replaceAll("-", "−"), `linear-gradient(to right, ${steps()})`)],
    };
  };
  const cameras = [...new Set(rows.camera)].filter(one => one !== null).sort((a, b) => a - b);
  const ways = [
    cameras.length && byGroup("camera", cameras.map(one => `camera ${one}`), row => cameras.indexOf(rows.camera[row])),
    rows.people.length && byGroup("identity", rows.people, row => rows.person[row]),
    rows.recipes.length && byGroup("recipe", rows.recipes, row => rows.recipe[row]),
    ...rows.scores.map(byScore)].filter(Boolean);
  field.append(...ways.map((way, place) => Object.assign(document.createElement("option"), { value: place, textContent: way.title })));

  const heights = mapped.map(row => places[row][1]), top = heights.reduce((one, other) => Math.min(one, other), 1);
  const tall = heights.reduce((one, other) => Math.max(one, other), 0) - top;
  const at = (row, width) => {
    const [x, y] = places[row], unit = width - 2 * EDGE;
    return [EDGE + x * unit, EDGE + (y - top) * unit];
  };
  const draw = () => {
    const width = canvas.clientWidth, height = Math.ceil(tall * (width - 2 * EDGE) + 2 * EDGE);
    const fine = devicePixelRatio || 1, way = ways[field.value], pen = canvas.getContext("2d");
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = [Math.round(width * fine), Math.round(height * fine)];
    pen.scale(fine, fine);
    pen.globalAlpha = 0.8;
    for (const row of mapped) {
      const [x, y] = at(row, width);
      pen.fillStyle = way.color(row);
      pen.beginPath();
      pen.arc(x, y, mapped.length > 2000 ? POINT / 2 : POINT, 0, 2 * Math.PI);
      pen.fill();
    }
    legend.replaceChildren(...way.legend());
  };
  const nearest = event => {
    const width = canvas.clientWidth;
    const far = row => { const [x, y] = at(row, width); return Math.hypot(x - event.offsetX, y - event.offsetY); };
    const row = mapped.reduce((best, one) => far(one) < far(best) ? one : best);
    return far(row) <= 3 * POINT ? row : null;
  };
  canvas.addEventListener("click", event => {
    const row = nearest(event);
    if (row !== null) document.dispatchEvent(new CustomEvent("open-row", { detail: row }));
  });
  document.getElementById("map-shown").hidden = false;
  field.addEventListener("input", draw);
  dark.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
})();
