// Judges photos beside the page, so that it stays responsive. The photo goes no further than this.
import * as ort from "./ort.js";
import { fit, overlay } from "./images.js";

const SHOWN_PX = 480;

async function open() {
  const settings = await (await fetch("model.json")).json();
  ort.env.wasm.numThreads = 1;  // more of them need headers that a static host does not send
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", import.meta.url).href };
  const session = await ort.InferenceSession.create(new URL("model.onnx", import.meta.url).href,
    { executionProviders: ["wasm"] });
  return { settings, session };
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
  const image = fit(rows, width, height, settings.image, await isJpeg(photo));
  bitmap.close();
  return { image, width, height };
}

async function drawn(image, width, height, heat, settings) {
  const size = settings.image.size_px, [, h, w] = heat.dims;
  const square = new OffscreenCanvas(size, size);
  const pixels = overlay(image, size, heat.data, h, w, settings.heat);
  square.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  const [across, down] = settings.image.fit === "crop" ? [1, 1] : [width, height];
  const scale = SHOWN_PX / Math.max(across, down);
  const shown = new OffscreenCanvas(Math.max(1, Math.round(across * scale)), Math.max(1, Math.round(down * scale)));
  shown.getContext("2d").drawImage(square, 0, 0, shown.width, shown.height);
  return shown.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}

async function judge(photo) {
  const { settings, session } = await opened;
  const { image, width, height } = await read(photo, settings), size = settings.image.size_px;
  const photos = new ort.Tensor("uint8", image, [1, size, size, 3]);
  const told = await session.run({ photos }, settings.heat ? ["probability", "heat"] : ["probability"]);
  const heat = settings.heat ? await drawn(image, width, height, told.heat, settings) : null;
  return { probability: told.probability.data[0], heat };
}

const opened = open();
opened.catch(() => {});  // said when a photo asks for it
self.addEventListener("message", async ({ data: { id, photo } }) => {
  try {
    self.postMessage({ id, told: await judge(photo) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
});
