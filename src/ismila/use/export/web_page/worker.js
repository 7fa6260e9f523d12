// Judges photos beside the page, so that it stays responsive. The photo goes no further than this.
import * as ort from "./ort.js";
import { animalsIn, squareAround } from "./animals.js";
import { fit, overlay, reduced, wholeBox } from "./images.js";
import { named, together } from "./names.js";

const SHOWN_PX = 480;

async function open() {
  const settings = await (await fetch("model.json")).json();
  ort.env.wasm.numThreads = 1;  // more of them need headers that a static host does not send
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", import.meta.url).href };
  const session = (file) => ort.InferenceSession.create(new URL(file, import.meta.url).href,
    { executionProviders: ["wasm"] });
  const classifier = await session("model.onnx");
  return { settings, classifier, detector: settings.detector && await session("animals.onnx") };
}

const isJpeg = async (photo) => {
  const [a, b] = new Uint8Array(await photo.slice(0, 2).arrayBuffer());
  return a === 0xff && b === 0xd8;
};

// Upright and without the colour profile, as Pillow reads it.
async function decode(photo) {
  try {
    return await createImageBitmap(photo, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("not a picture, or of a kind that this browser cannot read");
  }
}

async function read(photo, settings) {
  const bitmap = await decode(photo);
  const { width, height } = bitmap;
  if (Math.min(width, height) < settings.min_side_px) throw new Error(`too small: ${width} x ${height} pixels`);
  const rows = (y, count) => {
    const canvas = new OffscreenCanvas(width, count).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = "#fff";  // behind transparency
    canvas.fillRect(0, 0, width, count);
    canvas.drawImage(bitmap, 0, -y);
    return canvas.getImageData(0, 0, width, count).data;
  };
  const atLeast = settings.detector?.decoded_px ?? settings.image.size_px;
  const decoded = reduced(rows, width, height, atLeast, await isJpeg(photo));
  bitmap.close();
  return decoded;
}

// The animals in a photo, the surest first.
async function spotted(photo, detector, limits) {
  const size = limits.size_px, cells = size * size, image = fit(photo, size, wholeBox(photo, "squash"));
  const planes = new Float32Array(3 * cells);
  for (let at = 0; at < cells; at++) {
    for (let c = 0; c < 3; c++) planes[c * cells + at] = image[3 * at + c];
  }
  const images = new ort.Tensor("float32", planes, [1, 3, size, size]);
  const { boxes, scores } = await detector.run({ images });
  return animalsIn(boxes.data, scores.data, limits);
}

// What the classifier says of images [size, size, 3]: `probability` [n, pets], and `heat` [n, pets, h, w]
// where it tells it.
function asked(images, classifier, settings) {
  const size = settings.image.size_px, pixels = new Uint8Array(3 * size * size * images.length);
  images.forEach((image, at) => pixels.set(image, at * image.length));
  const photos = new ort.Tensor("uint8", pixels, [images.length, size, size, 3]);
  return classifier.run({ photos }, settings.heat ? ["probability", "heat"] : ["probability"]);
}

// The image with its heat as a JPEG, in the proportions of the box that it shows.
async function drawn(image, [left, top, right, bottom], heat, h, w, settings) {
  const size = settings.image.size_px, square = new OffscreenCanvas(size, size);
  const pixels = overlay(image, size, heat, h, w, settings.heat);
  square.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  const across = right - left, down = bottom - top, scale = SHOWN_PX / Math.max(across, down);
  const shown = new OffscreenCanvas(Math.max(1, Math.round(across * scale)), Math.max(1, Math.round(down * scale)));
  shown.getContext("2d").drawImage(square, 0, 0, shown.width, shown.height);
  return shown.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}

const share = ([left, top, right, bottom], { width, height }) =>
  [left / width, top / height, right / width, bottom / height];

// What is said of a photo, and why of the pet `heatOf`, where it is not empty.
async function judge(file, heatOf) {
  const { settings, classifier, detector } = await opened, pets = settings.subjects;
  const photo = await read(file, settings);
  const animals = detector ? await spotted(photo, detector, settings.detector) : [];
  const places = animals.length ? animals.map(({ box }) => squareAround(box, photo, settings.detector.margin))
    : [wholeBox(photo, settings.image.fit)];
  const images = places.map((place) => fit(photo, settings.image.size_px, place));
  const told = await asked(images, classifier, settings), p = told.probability.data;
  const probabilities = pets.map((_, pet) => images.map((_, image) => p[image * pets.length + pet]));
  const { names, subjects } = together(pets, probabilities, animals.map(({ box }) => box), settings.unsure);
  const answer = { subjects };
  if (detector) answer.animals = named(animals, pets, probabilities, names, settings.detector.other);
  if (settings.heat && heatOf) {
    const { image } = subjects[heatOf], [h, w] = told.heat.dims.slice(-2);
    const at = image * pets.length + pets.findIndex(({ subject }) => subject === heatOf);
    const heat = told.heat.data.subarray(at * h * w, (at + 1) * h * w);
    subjects[heatOf].heat = await drawn(images[image], places[image], heat, h, w, settings);
    subjects[heatOf].heat_box = share(places[image], photo);
  }
  return answer;
}

const opened = open();
opened.catch(() => {});  // said when a photo asks for it
self.addEventListener("message", async ({ data: { id, photo, heatOf } }) => {
  try {
    self.postMessage({ id, told: await judge(photo, heatOf) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
});
