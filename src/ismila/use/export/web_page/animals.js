// From what the detector says to the animals of a photo, and to the square around each: what learning/animals.py and
// photos/images.py do. Boxes are [x0, y0, x1, y1].

// Boxes [cells, 4] in [0, 1] and scores [cells, kinds] of one photo -> animals { box, kind, score }, the surest first.
export function animalsIn(boxes, scores, limits) {
  const kinds = limits.kinds.length, sure = [];
  for (let cell = 0; cell < boxes.length / 4; cell++) {
    const ofCell = scores.subarray(cell * kinds, (cell + 1) * kinds);
    const score = ofCell.reduce((a, b) => Math.max(a, b), 0);
    if (score < limits.min_score) continue;
    const box = Array.from(boxes.subarray(4 * cell, 4 * cell + 4), (edge) => Math.min(1, Math.max(0, edge)));
    sure.push({ box, kind: limits.kinds[ofCell.indexOf(score)], score });
  }
  return distinct(sure, limits);
}

// Non-maximum suppression, whatever the kind: of each animal its best box.
export function distinct(animals, limits) {
  const withArea = animals.filter(({ box: [x0, y0, x1, y1] }) => x1 > x0 && y1 > y0);
  const kept = [];
  for (const one of withArea.sort((a, b) => b.score - a.score).slice(0, limits.candidates)) {
    if (kept.length === limits.most) break;
    if (!kept.some((better) => isSame(better.box, one.box, limits))) kept.push(one);
  }
  return kept;
}

const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

// Do two boxes show the same animal, or one a part of the other's?
function isSame(a, b, { same_iou, part }) {
  const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(0, across) * Math.max(0, down);
  const union = area(a) + area(b) - shared, smaller = Math.min(area(a), area(b));
  return shared / union > same_iou || shared / smaller > part;
}

// The square that shows what a box in [0, 1] shows, with some room around it: in pixels, shifted inside the photo.
export function squareAround(box, { width, height }, margin) {
  const side = Math.max((box[2] - box[0]) * width, (box[3] - box[1]) * height) * (1 + margin);
  const across = Math.max(1, Math.min(side, width)), down = Math.max(1, Math.min(side, height));
  const left = Math.min(Math.max((box[0] + box[2]) / 2 * width - across / 2, 0), width - across);
  const top = Math.min(Math.max((box[1] + box[3]) / 2 * height - down / 2, 0), height - down);
  return [left, top, left + across, top + down];
}
