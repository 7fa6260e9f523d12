// Which pet is which, and what that is called: what learning/judgement.py and learning/decision.py do. A pet is
// { subject, threshold }; probabilities are [pets][images].
const NEAREST = 1e-7, SEEN_AGAIN = 0.5;
const logit = (p) => { const q = Math.min(1 - NEAREST, Math.max(NEAREST, p)); return Math.log(q / (1 - q)); };

// How much of the smaller of two boxes lies in the other one.
function inCommon(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const smaller = Math.min(...[one, other].map(([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0)));
  return smaller > 0 ? Math.max(width, 0) * Math.max(height, 0) / smaller : 0;
}

// A name for each image, empty where it is none of the pets; a pet is in a photo once at most, and so is an animal that
// was seen twice. `boxes` are the images', none where the whole photo is asked about.
export function assignNames(pets, probabilities, boxes) {
  const claims = pets.flatMap(({ subject, threshold }, pet) => probabilities[pet]
    .map((p, image) => ({ subject, p, image, pet, margin: logit(p) - logit(threshold) }))
    .filter(({ p }) => p >= threshold));
  claims.sort((a, b) => b.margin - a.margin || b.p - a.p || a.pet - b.pet || a.image - b.image);
  const names = probabilities[0].map(() => "");
  for (const { subject, image } of claims) {
    const again = names.some((name, at) => name && boxes.length && inCommon(boxes[image], boxes[at]) > SEEN_AGAIN);
    if (!names[image] && !names.includes(subject) && !again) names[image] = subject;
  }
  return names;
}

// A pet's answer in words; one whose animal another pet got is not in the photo, whatever its probability.
export function verdict(p, { subject, threshold }, isNamed, unsure) {
  if (p >= threshold && !isNamed) return `not ${subject}`;
  if (Math.abs(logit(p) - logit(threshold)) < unsure) return "unsure";
  return p > threshold ? subject : `not ${subject}`;
}

// What is said of each pet in a photo: `image` is the one with its name, or the likeliest.
export function together(pets, probabilities, boxes, unsure) {
  const names = assignNames(pets, probabilities, boxes), subjects = {};
  pets.forEach((pet, at) => {
    const p = Math.max(...probabilities[at]), isNamed = names.includes(pet.subject);
    subjects[pet.subject] = { probability: p, is_subject: isNamed, verdict: verdict(p, pet, isNamed, unsure),
      image: isNamed ? names.indexOf(pet.subject) : probabilities[at].indexOf(p) };
  });
  return { names, subjects };
}

// The animals by name, the likeliest first; the probability of another animal is the highest of any pet.
export function named(animals, pets, probabilities, names, other) {
  return animals.map(({ box, kind }, at) => {
    const pet = pets.findIndex(({ subject }) => subject === names[at]);
    const probability = pet < 0 ? Math.max(...probabilities.map((of) => of[at])) : probabilities[pet][at];
    return { box, kind, name: names[at] || other, probability };
  }).sort((a, b) => b.probability - a.probability);
}
