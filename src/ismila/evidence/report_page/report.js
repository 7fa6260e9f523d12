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

const words = { recall: `${report.subject} recognised`, recall_closeups: "… close-ups", recall_far: "… far away",
  fpr_things: "things taken for it", fpr_pets: "animals taken for it", fpr_strangers: "strangers taken for it",
  recall_whole: "recognised as they are", recall_animal: "… with all but the animal greyed out",
  surroundings: "… with the animal greyed out" };
const named = (name) => words[name] ?? `… ${name.replace("fpr_", "").replace("_", ": ")}`;

find("run").textContent = `run ${report.run.id.slice(0, 8)} · ${report.run.model} · ${report.run.data}`
  + (report.run.protocol === "crossval" ? " · cross-validated" : "")
  + (report.run.refit ? " · retrained on all photos afterwards" : "")
  + (Number(report.run.occasion_minutes) ? ` · photos within ${Number(report.run.occasion_minutes)} min are of one occasion` : "");
find("summary").textContent = report.summary;
find("notes").textContent = report.notes.join(" ");
find("few").textContent = report.few;
find("few").hidden = !report.few;
for (const span of document.querySelectorAll(".subject")) span.textContent = report.subject;

function drawBars(bars, where) {
  for (const bar of bars) {
    const good = bar.name.startsWith("recall");
    const fill = element("div", { class: `fill ${good ? "good" : ""}`, style: `width: ${100 * bar.hits / bar.n}%` });
    const whisker = element("div", { class: "whisker",
      style: `left: ${100 * bar.low}%; width: ${100 * (bar.high - bar.low)}%` });
    const few = bar.groups < report.few_below;
    const digits = bar.n < 1000 ? 0 : 2;
    const interval = `${(100 * bar.low).toFixed(digits)} – ${(100 * bar.high).toFixed(digits)} %`;
    find(where).append(element("div", { class: "bar", role: "img",
      "aria-label": `${named(bar.name)}: ${bar.hits} of ${bar.n}, 95 % interval ${percent(bar.low)} to ${percent(bar.high)}` },
    element("span", {}, named(bar.name)), element("span", { class: "number" }, `${bar.hits} of ${bar.n} `,
      element("span", { class: "quiet" }, few ? `too few to say (${bar.groups} ${bar.groups === 1 ? "occasion" : "occasions"})` : interval)),
    element("div", { class: "track" }, fill, whisker)));
  }
}

drawBars(report.bars, "bars");
drawBars(report.context, "context");
if (!report.context.length) find("context-section").remove();

if (report.taken) {
  const cell = ({ hits, n, low, high }) => element("td", {}, n
    ? `${hits} of ${n} (${percent(hits / n)}; ${(100 * low).toFixed(0)} – ${(100 * high).toFixed(0)})` : "no photo");
  const head = element("tr", {}, element("th", { scope: "col" }, "a photo shows"),
    ...report.taken.subjects.map((name) => element("th", { scope: "col" }, `taken for ${name}`)));
  const rows = Object.entries(report.taken.rows).map(([shows, counts]) =>
    element("tr", {}, element("th", { scope: "row" }, shows), ...counts.map(cell)));
  find("taken").append(head, ...rows);
} else find("taken-section").remove();

const { deletion } = report;
if (deletion.n) {
  const { deletion: byMap, random, insertion } = deletion.areas;
  find("deletion-words").textContent = `In ${deletion.faster} of ${deletion.n} held-out photos the order of the map takes the `
    + `probability down faster than a random order. Area under the mean curve: ${byMap.toFixed(2)} in the order of the map, `
    + `${random.toFixed(2)} in a random one, ${insertion.toFixed(2)} in the reverse one, which is putting back in the order of the map.`;
} else find("deletion-section").remove();

if (!report.bars.length) {
  find("bars").replaceChildren(element("p", { class: "quiet" }, "No photo was held out, so nothing was measured."));
}

function tableOf(head, rows) {
  return [element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) =>
      element(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : {}, String(cell))))))];
}

const points100 = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
function changed(row) {
  if (row.n < report.few_below) return "too few photos to say";
  if (row.groups < report.few_below) return `too few occasions to say: ${row.groups}`;
  if (!row.differs) return `the same (${points100(row.change_low)} to ${points100(row.change_high)})`;
  const clear = row.change_low > 0 || row.change_high < 0;
  return `${points100(row.change)} points${clear ? "" : ", not clear"} (${points100(row.change_low)} to ${points100(row.change_high)})`;
}
const changes = Object.entries(report.other?.changes ?? {});
if (changes.length) {
  find("other").append(element("p", { class: "quiet" },
    `${report.other.name}, run ${report.other.id.slice(0, 8)}; both asked about the photos that both held out`));
  for (const [name, change] of changes) {
    const fill = element("div", { class: `fill ${name.endsWith("recognised") ? "good" : ""}`, style: `width: ${100 * change.after}%` });
    const before = element("div", { class: "before", style: `left: ${100 * change.before}%` });
    find("other").append(element("div", { class: "bar", role: "img",
      "aria-label": `${name}: ${percent(change.before)} there, ${percent(change.after)} here, ${changed(change)}, ${change.n} photos` },
    element("span", {}, name), element("span", { class: "number" }, `${percent(change.before)} → ${percent(change.after)}`),
    element("div", { class: "track" }, fill, before),
    element("span", { class: "number quiet" }, `${changed(change)}, ${change.n} photos`)));
  }
  find("other").append(element("p", { class: "quiet" }, "Bars are this run, marks the other one; 95 % intervals, paired."));
} else {
  // nothing to compare with: what is right and wrong stands here instead
  find("bars").after(element("p", { class: "quiet" }, report.other
    ? "There is another run, but no photo that both held out."
    : "There is no other run on this album, with this seed and measured in this way, to compare with."));
  find("other-section").replaceWith(find("confusion-section"));
}

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
  const found = [{ tpr: 0, fpr: 0, precision: 1 }];
  let hits = 0;
  let wrong = 0;
  sorted.forEach((photo, at) => {
    if (isSubject(photo)) hits += 1; else wrong += 1;
    if (sorted[at + 1]?.p === photo.p) return;
    found.push({ tpr: hits / Math.max(positives, 1), fpr: wrong / Math.max(negatives, 1),
      precision: hits / (hits + wrong) });
  });
  return found;
}
const points = sweep();
const positives = photos.filter(isSubject).length;
const bothSides = positives > 0 && positives < photos.length;

// A chart without anything to show says so: empty axes look like a result.
function chart(id, ready, sentence, draw) {
  if (ready) return Plotly.react(id, ...draw());
  find(id).className = "";
  return find(id).replaceChildren(element("p", { class: "quiet" }, sentence));
}

function drawCharts() {
  const grey = colour("--quiet");
  const nothing = "No photo was held out, so there are no probabilities to show.";
  chart("histogram", photos.length > 0, nothing, () => [sides.map(([test, name, tint]) => ({ type: "histogram", name,
    x: photos.filter(test).map((p) => p.p), xbins: { start: 0, end: 1.0001, size: 0.05 }, marker: { color: colour(tint) },
    opacity: 0.85 })), layout("Probabilities of the held-out photos", "probability", "photos", { xaxis: { range: [0, 1] },
    layout: { barmode: "stack", shapes: lines(), height: 320, margin: { l: 48, r: 12, t: 36, b: 84 } } }), options]);
  const curve = (x, y, name) => ({ x: points.map(x), y: points.map(y), mode: "lines", line: { color: colour("--good"), shape: "hv" },
    name, showlegend: false });
  const dot = { mode: "markers", marker: { size: 11, color: colour("--bad") }, name: "threshold", showlegend: false };
  const here = at();
  const range = { range: [-0.03, 1.03] };
  const oneSided = `A curve needs photos of ${report.subject} and others: ${positives} and ${photos.length - positives} were held out.`;
  chart("roc", bothSides, oneSided, () => [[curve((p) => p.fpr, (p) => p.tpr, "ROC"), { ...dot, x: [here.fpr], y: [here.tpr] }],
    layout("ROC", "false positive rate", "recall", { xaxis: range, yaxis: range }), options]);
  chart("pr", bothSides, "", () => [[{ ...curve((p) => p.tpr, (p) => p.precision, "precision"), line: { color: colour("--good") } },
    { ...dot, x: [here.tpr], y: [here.precision] }],
  layout("Precision and recall", "recall", "precision", { xaxis: range, yaxis: range }), options]);
  const bins = report.calibration.bins;
  chart("reliability", bothSides, "", () => [[
    { x: [0, 1], y: [0, 1], mode: "lines", line: { color: grey, dash: "dot" }, showlegend: false, hoverinfo: "skip" },
    { x: bins.map((b) => b.probability), y: bins.map((b) => b.rate), mode: "markers+lines", showlegend: false,
      text: bins.map((b) => `${b.n} photos`), marker: { color: colour("--bad"), size: bins.map((b) => 6 + 3 * Math.log2(1 + b.n)) } }],
  layout("Reliability", "probability", `rate of ${report.subject}`, { xaxis: range, yaxis: range }), options]);
  const orders = [["map", "order of the map", "--bad"], ["random", "random order", "--quiet"], ["reverse", "reverse order", "--good"]];
  if (deletion.n) {
    chart("deletion", true, "", () => [orders.map(([order, name, tint]) => ({ name, y: deletion.curves[order],
      x: deletion.curves[order].map((_, step, all) => step / (all.length - 1)), mode: "lines+markers", line: { color: colour(tint) } })),
    layout(`Mean probability of ${deletion.n} photos`, "cells greyed out", "probability", { xaxis: { ...range, tickformat: ".0%" },
      yaxis: range, layout: { height: 340, margin: { l: 48, r: 12, t: 36, b: 104 },
        legend: { orientation: "h", y: -0.36, x: 0, yanchor: "top" } } }), options]);
  }
  const tints = { loss: "--quiet", val_loss: "--bad", accuracy: "--ink", val_accuracy: "--good" };
  const epochs = Object.entries(report.epochs);
  if (epochs.some(([, y]) => y.length > 1)) {
    chart("training", true, "", () => [epochs.map(([name, y]) => ({ name: name.replace("val_", "validation "), y, x: y.map((_, epoch) => epoch + 1),
      mode: "lines", line: { color: colour(tints[name]) } })),
    layout("Training", "epoch", "", { layout: { margin: { l: 48, r: 12, t: 36, b: 84 }, height: 320 } }), options]);
  }
}

// --- the threshold ---
// Until the slider is moved each photo is judged as it was when the run was measured: a cross-validated run chose a
// threshold in each of its folds.
let moved = false;
let threshold = report.thresholds.length === 1 ? report.thresholds[0] : report.kept_threshold;
const ownThresholds = report.thresholds.length > 1;
const isTaken = (photo) => (moved ? photo.p >= threshold : photo.taken);
const lines = () => (moved || !ownThresholds ? [threshold] : report.thresholds).map((x) => ({ type: "line", x0: x, x1: x,
  y0: 0, y1: 1, yref: "paper", line: { color: colour("--ink"), width: moved || !ownThresholds ? 2 : 1 } }));
function at() {
  const taken = photos.filter(isTaken);
  const hits = taken.filter(isSubject).length;
  return { hits, taken: taken.length, tpr: hits / Math.max(positives, 1),
    fpr: (taken.length - hits) / Math.max(photos.length - positives, 1), precision: taken.length ? hits / taken.length : 1 };
}

function showFigures() {
  const here = at();
  const first = report.thresholds[0]?.toFixed(3);
  const last = report.thresholds.at(-1)?.toFixed(3);
  const each = ownThresholds && !moved;
  find("threshold-value").textContent = each ? `${first} to ${last}` : threshold.toFixed(3);
  find("judged").hidden = !ownThresholds;
  find("judged").firstElementChild.textContent = each
    ? `Each photo is judged by the threshold that the fold which held it out has chosen, ${first} to ${last}. `
      + "Once you move the slider, one threshold counts for all photos."
    : "One threshold counts for all photos now.";
  find("judged").lastElementChild.hidden = each;
  find("figures").textContent = (positives ? `recall ${percent(here.tpr)} (${here.hits} of ${positives})`
    : `recall unknown: no photo of ${report.subject} was held out`) + ", precision "
    + (here.taken ? `${percent(here.precision)} (${here.hits} of ${here.taken})` : "undefined: nothing is taken for it");
  const kinds = [...new Set(photos.filter((p) => !isSubject(p)).map((p) => p.kind))].sort();
  find("kinds").hidden = !kinds.length;
  find("kinds").replaceChildren(find("kinds").caption, ...tableOf(["kind", "taken", "photos", "rate"], kinds.map((kind) => {
    const of = photos.filter((p) => !isSubject(p) && p.kind === kind);
    const taken = of.filter(isTaken).length;
    return [kind, taken, of.length, percent(taken / of.length)];
  })));
  showConfusion();
}

function moveThreshold() {
  showFigures();
  if (!window.Plotly || !photos.length) return;
  const here = at();
  Plotly.relayout("histogram", { shapes: lines() });
  if (!bothSides) return;
  Plotly.restyle("roc", { x: [[here.fpr]], y: [[here.tpr]] }, [1]);
  Plotly.restyle("pr", { x: [[here.tpr]], y: [[here.precision]] }, [1]);
}
find("threshold").value = threshold;
find("threshold").addEventListener("input", (event) => {
  moved = true;
  threshold = Number(event.target.value);
  moveThreshold();
});
find("judged").lastElementChild.addEventListener("click", () => {
  moved = false;
  threshold = report.kept_threshold;
  find("threshold").value = threshold;
  moveThreshold();
});

// --- photos ---
function picture(src, alt) {
  return src ? element("img", { src, alt, loading: "lazy" }) : element("div", { class: "gone" }, alt);
}
// The probability, with a mark at the threshold that the photo was judged by.
function marked(photo) {
  const from = `${report.subject} from ${percent(photo.threshold)} on`;
  return element("div", { class: "track", role: "img", "aria-label": `${percent(photo.p)}; ${from}`, title: from },
    element("div", { class: "fill plain", style: `width: ${100 * photo.p}%` }),
    element("div", { class: "before", style: `left: ${100 * photo.threshold}%` }));
}
function small(photo) {
  return element("figure", {}, picture(photo.src, photo.problem ? `${photo.path}: ${photo.problem}` : photo.path), marked(photo),
    element("figcaption", {}, `${percent(photo.p)} · ${photo.kind}`));
}
function large(photo) {
  const pair = element("div", { class: "pair" }, picture(photo.src, photo.path));
  if (photo.heat) pair.append(picture(photo.heat, `what in it speaks for ${report.subject}`));
  const from = `${report.subject} from ${percent(photo.threshold)} on`;
  const made = element("figure", {}, pair, marked(photo), element("figcaption", {},
    `${isSubject(photo) ? "missed" : `taken for ${report.subject}`}: ${percent(photo.p)} (${from}) · ${photo.kind} · ${photo.path}`));
  if (photo.words) made.append(element("p", { class: "quiet" }, photo.words));
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
  cells.forEach(([word, truth, taken], number) => {
    const inside = photos.filter((p) => isSubject(p) === truth && isTaken(p) === taken);
    const button = box.children[number];
    button.replaceChildren(element("strong", {}, String(inside.length)),
      `${truth ? report.subject : `not ${report.subject}`}, ${word}`);
    button.setAttribute("aria-expanded", String(opened === number));
    if (opened === number) find("opened").replaceChildren(...inside.sort((a, b) => (taken ? b.p - a.p : a.p - b.p)).map(small));
  });
  if (opened === null) find("opened").replaceChildren();
}

const distance = (photo) => Math.abs(photo.p - photo.threshold);
const wrong = photos.filter((p) => p.taken !== isSubject(p)).sort((a, b) => distance(b) - distance(a));
const filters = ["all", ...new Set(wrong.map((p) => p.kind))];
find("filter").append(...filters.map((kind) => element("option", { value: kind },
  `${kind} (${kind === "all" ? wrong.length : wrong.filter((p) => p.kind === kind).length})`)));
find("filter-label").hidden = !wrong.length;
function showErrors() {
  const kind = find("filter").value;
  const shown = wrong.filter((p) => kind === "all" || p.kind === kind);
  find("errors").replaceChildren(...(shown.length ? shown.map(large) : [element("p", { class: "quiet" },
    photos.length ? "No mistakes among the held-out photos." : "No photo was held out, so no mistake is known.")]));
}
find("filter").addEventListener("change", showErrors);

// --- can a probability be believed? ---
const { error, among, temperature, bias } = report.calibration;
const kindName = (row) => ({ subject: report.subject, things: "things" })[row.label] ?? row.kind;
const whole = (value) => `${Math.round(100 * value)} %`;
const share = (row, value) => (row.n < report.few_below ? `${Math.round(value * row.n)} of ${row.n}` : whole(value));
function showBelieved() {
  const certain = photos.filter((p) => (isSubject(p) ? p.p <= 0.1 : p.p >= 0.9));
  const offBy = [["things", "things"], ["pets", "other animals"]].filter(([label]) => among[label] !== null)
    .map(([label, words]) => `${(100 * among[label]).toFixed(0)} points among ${report.subject} and ${words}`);
  const sentences = [];
  if (offBy.length) {
    sentences.push(`A probability is off by ${offBy.join(", by ")}, on average.`);
  }
  if (photos.length) {
    sentences.push(certain.length ? `${certain.length} of ${photos.length} photos look certain and are wrong.`
      : `None of ${photos.length} photos looks certain and is wrong.`);
  } else sentences.push("No photo was held out, so nobody can say.");
  find("believed-words").textContent = sentences.join(" ");
  if (!photos.length) return;
  find("believed").replaceChildren(...tableOf(
    ["kind", "photos", "mean", "taken", "certain, wrong", "off by"],
    report.calibration.kinds.map((row) => [kindName(row), row.n, whole(row.probability), share(row, row.taken),
      share(row, row.sure_and_wrong), row.error === null ? "" : whole(row.error)])));
  find("believed-how").textContent = `Mean: of the probabilities. Taken: for ${report.subject}. Certain: at least 90 %, for ${report.subject} at most 10 %. Off by: expected calibration `
    + `error among these photos and those of ${report.subject}, both weighing alike. ${report.calibration.prior}`;
}
showBelieved();

const [area, low, high] = report.auroc;
const sentences = [];
if (area !== null) {
  sentences.push(`AUROC ${area.toFixed(3)}` + (low === null ? "" : low === high
    ? `: every photo of ${report.subject} stands above every other one; ${positives} photos of it are no proof that this goes on`
    : ` (95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}, bootstrap over groups of near-duplicates)`));
}
if (error !== null) {
  sentences.push(`Expected calibration error ${error.toFixed(3)} on ${photos.length} photos: a probability is off by as much, on average; `
    + `perfectly calibrated ones would show ${report.calibration.by_chance.toFixed(3)} on so few`
    + ` (logits are divided by ${temperature.toFixed(2)}, plus ${bias.toFixed(2)})`);
}
if (!Object.values(report.epochs).some((y) => y.length > 1)) {
  find("training").remove();
  sentences.push("It was trained in one step: there is no curve over epochs");
}
sentences.push(`Album ${report.run.album}`);
find("curves-words").textContent = `${sentences.join(". ")}.`;
showFigures();
showErrors();
// Four megabytes of plotly are read once the summary stands on the screen.
requestAnimationFrame(() => setTimeout(() => {
  document.head.append(element("script", {}, find("plotly").textContent));
  drawCharts();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
}));
