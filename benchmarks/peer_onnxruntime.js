#!/usr/bin/env node
/* ONNX Runtime as Ichor's peer: the row of `ichor bench model --mode infer` for an ONNX file.
 *
 *     node peer_onnxruntime.js FILE.onnx --arch resnet18 [--batch 16] [--size 224] [--seconds 10] [--threads 2]
 *
 * CPU provider, every graph optimisation (its blocked NCHWc layout too), one pool of threads. Inference only: the
 * npm package does not train.
 */
import fs from "node:fs";
import { parseArgs } from "node:util";
import ort from "onnxruntime-node";

const WARM_UP = 2, MIN_STEPS = 3;

function statusKib(key) {
  const line = fs.readFileSync("/proc/self/status", "ascii").split("\n").find((l) => l.startsWith(key));
  return Number.parseInt(line.slice(key.length), 10);
}

function held() { // the recorded peak falls to what is held now (proc(5))
  try {
    fs.writeFileSync("/proc/self/clear_refs", "5");
  } catch { /* a locked kernel: the peak then includes the start of the program */ }
  return statusKib("VmRSS:");
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    arch: { type: "string" },
    mode: { type: "string", default: "infer" },
    batch: { type: "string", default: "16" },
    size: { type: "string", default: "224" },
    seconds: { type: "string", default: "10" },
    threads: { type: "string", default: "2" },
  },
});
const [batch, size, seconds, threads] = ["batch", "size", "seconds", "threads"].map((k) => Number(options[k]));
const numbers = [batch, size, seconds, threads].every((n) => n > 0);
if (positionals.length !== 1 || !options.arch || options.mode !== "infer" || !numbers) {
  console.error("usage: peer_onnxruntime.js FILE.onnx --arch A [--mode infer] [--batch N] [--size PX] [--seconds X] " +
    "[--threads N]");
  process.exit(2);
}

const before = held();
const session = await ort.InferenceSession.create(positionals[0], {
  executionProviders: ["cpu"],
  graphOptimizationLevel: "all",
  executionMode: "sequential",
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
});
const images = new ort.Tensor("float32", new Float32Array(batch * 3 * size * size), [batch, 3, size, size]);
for (let i = 0; i < images.data.length; i++) images.data[i] = 4 * Math.random() - 2;
const step = () => session.run({ [session.inputNames[0]]: images });

for (let i = 0; i < WARM_UP; i++) await step();
const started = performance.now();
let steps = 0, elapsed = 0;
while (steps < MIN_STEPS || elapsed < 1000 * seconds) {
  await step();
  steps++;
  elapsed = performance.now() - started;
}
const rate = (1000 * steps * batch) / elapsed, rss = (statusKib("VmHWM:") - before) / 1024;
console.log("arch,mode,batch,size,threads,images_per_second,rss_mib");
console.log(`${options.arch},infer,${batch},${size},${threads},${rate.toFixed(2)},${rss.toFixed(1)}`);
