// The page of `ismila report`: everything it shows stands in window.REPORT.
const report = window.REPORT;
const find = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isSubject = (photo) => photo.label === "subject";
const photos = report.photos;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const words = { recall: `${report.subject} recognised`, recall_closeups: "… close-ups", fpr_things: "things taken for it",
  fpr_pets: "animals taken for it" };
const named = (name) => words[name] ?? `… ${name.replace("fpr_", "")}`;

find("run").textContent = `run ${report.run.id.slice(0, 8)} · ${report.run.model} · ${report.run.data}`
  + (report.run.refit ? " · retrained on all photos afterwards" : "");
find("verdict").textContent = report.verdict;
find("few").textContent = report.few;
find("few").hidden = !report.few;
for (const span of document.querySelectorAll(".subject")) span.textContent = report.subject;

for (const bar of report.bars) {
  const fill = element("div", { class: `fill ${bar.name.startsWith("recall") ? "good" : ""}`,
    style: `width: ${100 * bar.hits / bar.n}%` });
  const whisker = element("div", { class: "whisker",
    style: `left: ${100 * bar.low}%; width: ${100 * (bar.high - bar.low)}%` });
  find("bars").append(element("div", { class: "bar", role: "img",
    "aria-label": `${named(bar.name)}: ${bar.hits} of ${bar.n}, 95 % interval ${percent(bar.low)} to ${percent(bar.high)}` },
  element("span", {}, named(bar.name)), element("span", { class: "number" }, `${bar.hits} of ${bar.n} `,
    element("span", { class: "quiet" }, bar.n < report.few_below ? "too few to say"
      : `${(100 * bar.low).toFixed(0)} – ${(100 * bar.high).toFixed(0)} %`)),
  element("div", { class: "track" }, fill, whisker)));
}

function tableOf(head, rows) {
  return [element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) =>
      element(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : {}, String(cell))))))];
}

const points100 = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
function changed(row) {
  if (row.n < report.few_below) return "too few photos to say";
  if (row.change === 0 && row.change_low === 0 && row.change_high === 0) return "the same";
  const clear = row.change_low > 0 || row.change_high < 0;
  return `${points100(row.change)} points${clear ? "" : ", not clear"} (${points100(row.change_low)} to ${points100(row.change_high)})`;
}
if (report.other && report.other.rows.length) {
  find("other").append(element("p", { class: "quiet" },
    `${report.other.name}, run ${report.other.id.slice(0, 8)}; both asked about the photos that both held out`));
  for (const row of report.other.rows) {
    const fill = element("div", { class: `fill ${row.name.endsWith("recognised") ? "good" : ""}`, style: `width: ${100 * row.after}%` });
    const before = element("div", { class: "before", style: `left: ${100 * row.before}%` });
    find("other").append(element("div", { class: "bar", role: "img",
      "aria-label": `${row.name}: ${percent(row.before)} there, ${percent(row.after)} here, ${changed(row)}, ${row.n} photos` },
    element("span", {}, row.name), element("span", { class: "number" }, `${percent(row.before)} → ${percent(row.after)}`),
    element("div", { class: "track" }, fill, before),
    element("span", { class: "number quiet" }, `${changed(row)}, ${row.n} photos`)));
  }
  find("other").append(element("p", { class: "quiet" }, "Bars are this run, marks the other one; 95 % intervals, paired."));
} else find("other").append(element("p", { class: "quiet" }, "There is no other run on this album to compare with."));

// --- charts ---
const sides = [[isSubject, report.subject, "--good"], [(p) => p.label === "pets", "other animals", "--bad"],
  [(p) => p.label === "things", "things", "--quiet"]];

function layout(title, x, y, more = {}) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), fixedrange: true };
  return { title: { text: title, font: { size: 15 }, x: 0 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { color: colour("--ink"), family: "system-ui, sans-serif" }, margin: { l: 48, r: 12, t: 36, b: 44 }, height: 280,
    xaxis: { ...axis, title: { text: x }, ...more.xaxis }, yaxis: { ...axis, title: { text: y }, ...more.yaxis },
    legend: { orientation: "h", y: -0.28, x: 0, yanchor: "top" }, ...more.layout };
}
const options = { displayModeBar: false, responsive: true };

function sweep() {
  const sorted = [...photos].sort((a, b) => b.p - a.p);
  const positives = photos.filter(isSubject).length;
  const negatives = photos.length - positives;
  const points = [{ threshold: 1.01, tpr: 0, fpr: 0, precision: 1 }];
  let hits = 0;
  let wrong = 0;
  sorted.forEach((photo, at) => {
    if (isSubject(photo)) hits += 1; else wrong += 1;
    if (sorted[at + 1]?.p === photo.p) return;
    points.push({ threshold: photo.p, tpr: hits / Math.max(positives, 1), fpr: wrong / Math.max(negatives, 1),
      precision: hits / (hits + wrong) });
  });
  return points;
}
const points = sweep();

function drawCharts() {
  const grey = colour("--quiet");
  Plotly.react("histogram", sides.map(([test, name, tint]) => ({ type: "histogram", name, x: photos.filter(test).map((p) => p.p),
    xbins: { start: 0, end: 1.0001, size: 0.05 }, marker: { color: colour(tint) }, opacity: 0.85 })),
  layout("Probabilities of the held-out photos", "probability", "photos", { xaxis: { range: [0, 1] },
    layout: { barmode: "stack", shapes: [line()], height: 320, margin: { l: 48, r: 12, t: 36, b: 84 } } }), options);
  const curve = (x, y, name) => ({ x: points.map(x), y: points.map(y), mode: "lines", line: { color: colour("--good"), shape: "hv" },
    name, showlegend: false });
  const dot = { mode: "markers", marker: { size: 11, color: colour("--bad") }, name: "threshold", showlegend: false };
  const here = at();
  const range = { range: [-0.03, 1.03] };
  Plotly.react("roc", [curve((p) => p.fpr, (p) => p.tpr, "ROC"), { ...dot, x: [here.fpr], y: [here.tpr] }],
    layout("ROC", "false positive rate", "recall", { xaxis: range, yaxis: range }), options);
  Plotly.react("pr", [{ ...curve((p) => p.tpr, (p) => p.precision, "precision"), line: { color: colour("--good") } },
    { ...dot, x: [here.tpr], y: [here.precision] }],
  layout("Precision and recall", "recall", "precision", { xaxis: range, yaxis: range }), options);
  const bins = report.calibration.bins;
  Plotly.react("reliability", [{ x: [0, 1], y: [0, 1], mode: "lines", line: { color: grey, dash: "dot" }, showlegend: false },
    { x: bins.map((b) => b.probability), y: bins.map((b) => b.rate), mode: "markers+lines", showlegend: false,
      text: bins.map((b) => `${b.n} photos`), marker: { color: colour("--bad"), size: bins.map((b) => 6 + 3 * Math.log2(1 + b.n)) } }],
  layout("Reliability", "probability said", `rate of ${report.subject}`, { xaxis: range, yaxis: range }), options);
  const tints = { loss: "--quiet", val_loss: "--bad", accuracy: "--ink", val_accuracy: "--good" };
  Plotly.react("training", Object.entries(report.epochs).map(([name, y]) => ({ name: name.replace("val_", "validation "), y,
    x: y.map((_, epoch) => epoch + 1), mode: "lines", line: { color: colour(tints[name]) } })),
  layout("Training", "epoch", "", { layout: { margin: { l: 48, r: 12, t: 36, b: 84 }, height: 320 } }), options);
}

// --- the threshold ---
let threshold = report.threshold;
const line = () => ({ type: "line", x0: threshold, x1: threshold, y0: 0, y1: 1, yref: "paper",
  line: { color: colour("--ink"), width: 2 } });
function at() {
  const taken = photos.filter((p) => p.p >= threshold);
  const hits = taken.filter(isSubject).length;
  const positives = photos.filter(isSubject).length;
  return { hits, positives, taken: taken.length, tpr: hits / Math.max(positives, 1),
    fpr: (taken.length - hits) / Math.max(photos.length - positives, 1), precision: taken.length ? hits / taken.length : 1 };
}

function showFigures() {
  const here = at();
  find("threshold-value").textContent = threshold.toFixed(3);
  find("figures").textContent = `recall ${percent(here.tpr)} (${here.hits} of ${here.positives}), precision `
    + (here.taken ? `${percent(here.precision)} (${here.hits} of ${here.taken})` : "undefined: nothing is taken for it");
  const kinds = [...new Set(photos.filter((p) => !isSubject(p)).map((p) => p.kind))].sort();
  find("kinds").replaceChildren(find("kinds").caption, ...tableOf(["kind", "taken", "photos", "rate"], kinds.map((kind) => {
    const of = photos.filter((p) => !isSubject(p) && p.kind === kind);
    const taken = of.filter((p) => p.p >= threshold).length;
    return [kind, taken, of.length, percent(taken / of.length)];
  })));
  showConfusion();
}

find("threshold").value = threshold;
find("threshold").addEventListener("input", (event) => {
  threshold = Number(event.target.value);
  showFigures();
  if (!window.Plotly) return;
  const here = at();
  Plotly.relayout("histogram", { shapes: [line()] });
  Plotly.restyle("roc", { x: [[here.fpr]], y: [[here.tpr]] }, [1]);
  Plotly.restyle("pr", { x: [[here.tpr]], y: [[here.precision]] }, [1]);
});

// --- photos ---
function picture(src, alt) {
  return src ? element("img", { src, alt, loading: "lazy" }) : element("div", { class: "gone" }, alt);
}
function small(photo) {
  return element("figure", {}, picture(photo.src, photo.problem ? `${photo.path}: ${photo.problem}` : photo.path),
    element("figcaption", {}, `${percent(photo.p)} · ${photo.kind}`));
}
function large(photo) {
  const pair = element("div", { class: "pair" }, picture(photo.src, photo.path));
  if (photo.heat) pair.append(picture(photo.heat, `what in it speaks for ${report.subject}`));
  const made = element("figure", {}, pair, element("figcaption", {},
    `${isSubject(photo) ? "missed" : `taken for ${report.subject}`}: ${percent(photo.p)} · ${photo.kind} · ${photo.path}`));
  if (photo.said) made.append(element("p", { class: "quiet" }, photo.said));
  if (photo.nearest?.length) {
    made.append(element("p", { class: "quiet" }, "Nearest training photos:"), element("div", { class: "near" },
      ...photo.nearest.map((near) => element("div", {}, picture(near.src, near.path),
        `${near.kind} ${near.similarity.toFixed(2)}`))));
  }
  return made;
}

const cells = [["right", true, true], ["missed", true, false], ["taken for it", false, true], ["right", false, false]];
let opened = null;
function showConfusion() {
  const box = find("confusion");
  if (!box.children.length) {
    cells.forEach((_, number) => {
      const button = element("button", { type: "button", "aria-expanded": "false" });
      button.addEventListener("click", () => { opened = opened === number ? null : number; showConfusion(); });
      box.append(button);
    });
  }
  cells.forEach(([word, truth, said], number) => {
    const inside = photos.filter((p) => isSubject(p) === truth && (p.p >= threshold) === said);
    const button = box.children[number];
    button.replaceChildren(element("strong", {}, String(inside.length)),
      `${truth ? report.subject : `not ${report.subject}`}, ${word}`);
    button.setAttribute("aria-expanded", String(opened === number));
    if (opened === number) find("opened").replaceChildren(...inside.sort((a, b) => (said ? b.p - a.p : a.p - b.p)).map(small));
  });
  if (opened === null) find("opened").replaceChildren();
}

const wrong = photos.filter((p) => (p.p >= report.threshold) !== isSubject(p))
  .sort((a, b) => Math.abs(b.p - report.threshold) - Math.abs(a.p - report.threshold));
const filters = ["all", ...new Set(wrong.map((p) => p.kind))];
find("filter").append(...filters.map((kind) => element("option", { value: kind },
  `${kind} (${kind === "all" ? wrong.length : wrong.filter((p) => p.kind === kind).length})`)));
function showErrors() {
  const kind = find("filter").value;
  const shown = wrong.filter((p) => kind === "all" || p.kind === kind);
  find("errors").replaceChildren(...(shown.length ? shown.map(large)
    : [element("p", { class: "quiet" }, "No mistakes among the held-out photos.")]));
}
find("filter").addEventListener("change", showErrors);

const [area, low, high] = report.auroc;
const counted = (label) => photos.filter((p) => p.label === label).length;
const { error, temperature } = report.calibration;
const told = [];
if (area !== null) {
  told.push(`AUROC ${area.toFixed(3)}` + (low === null ? "" : low === high
    ? `: every photo of ${report.subject} stands above every other one; ${counted("subject")} photos of it are no proof that this goes on`
    : ` (95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}, bootstrap over groups of near-duplicates)`));
}
told.push(`Expected calibration error ${error.toFixed(3)} on ${photos.length} photos: a probability is off by as much, on average`
  + (temperature === 1 ? "" : ` (calibrated on validation photos with temperature ${temperature.toFixed(2)})`));
find("curves-words").textContent = `${told.join(". ")}. Album ${report.run.album}.`;
showFigures();
showErrors();
// Four megabytes of plotly are read once the summary stands on the screen.
requestAnimationFrame(() => setTimeout(() => {
  document.head.append(element("script", {}, find("plotly").textContent));
  drawCharts();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
}));
