/* Runs an exported model in ONNX Runtime on one study and compares with what `ichor predict` answered.
 *
 *     node onnx_check.mjs FILE.onnx INPUT.npy PREDICTIONS STUDY
 *
 * INPUT.npy is what `ichor audit --dump` writes: [slices, size, size, channels]. Status 77: no onnxruntime-node.
 */
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const BOUND = 1e-4;
const [file, input, predictions, study] = process.argv.slice(2);

function load() { // tools/packages.sh installs it there
  try {
    return createRequire(new URL("../../benchmarks/package.json", import.meta.url))("onnxruntime-node");
  } catch { /* it is not there */ }
  console.log("skipped: onnxruntime-node is not installed (tools/packages.sh onnx)");
  process.exit(77);
}

function readNpy(name) {
  const bytes = fs.readFileSync(name), length = bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, 10 + length);
  const dims = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").map((d) => d.trim()).filter(Boolean).map(Number);
  const body = bytes.subarray(10 + length);
  return { dims, data: new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length)) };
}

function toNchw({ dims: [n, h, w, c], data }) {
  const out = new Float32Array(data.length);
  for (let i = 0; i < n; i++)
    for (let p = 0; p < h * w; p++)
      for (let k = 0; k < c; k++) out[(i * c + k) * h * w + p] = data[(i * h * w + p) * c + k];
  return { dims: [n, c, h, w], data: out };
}

function rows(name, id) {
  const [header, ...lines] = fs.readFileSync(path.join(predictions, name), "utf8").trim().split("\n")
    .map((line) => line.split(","));
  const mine = lines.filter((line) => line[0] === id).map((line) => Object.fromEntries(header.map((k, i) => [k, line[i]])));
  if (mine.length === 0) throw new Error(`${name} has no ${id}`);
  return mine;
}

function worst(got, want) {
  if (got.length !== want.length) throw new Error(`${got.length} numbers, not ${want.length}`);
  return got.reduce((most, x, i) => Math.max(most, Number.isFinite(x) ? Math.abs(x - want[i]) : Infinity), 0);
}

const ort = load();
if (!file) process.exit(0); // only asked whether it is there
const images = toNchw(readNpy(input));
const session = await ort.InferenceSession.create(file, { executionProviders: ["cpu"], intraOpNumThreads: 2 });
const answer = await session.run({ images: new ort.Tensor("float32", images.data, images.dims) });

const labels = ["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"];
const slices = rows("slices.csv", study);
// the network reads from foot to head; slice_index counts as the file is stored, here the same way
const errors = {
  study: worst([...answer.study_probability.data], labels.map((l) => Number(rows("studies.csv", study)[0][l]))),
  slices: worst([...answer.slice_probability.data], slices.flatMap((r) => labels.map((l) => Number(r[l])))),
  attention: worst([...answer.slice_attention.data], slices.map((r) => Number(r.attention))),
};
for (const [what, error] of Object.entries(errors))
  if (!(error <= BOUND)) {
    console.log(`${what}: ONNX Runtime is off by ${error}`);
    process.exit(1);
  }
console.log(`ONNX Runtime agrees to ${Math.max(...Object.values(errors)).toExponential(1)}`);
