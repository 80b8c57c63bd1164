// Checks what a release promises: `node release-check.mjs target/release/natter`.
//
// It copies only the binary into an empty folder and starts it there, so everything it serves comes from itself.
// Then it checks what a first visit transfers, that this is the latest build, and the server's memory at rest.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const FIRST_LOAD = 250_000; // bytes: HTML, styles, JavaScript and WASM, as transferred
const MEMORY = 40; // MB, resident, at rest
const PATIENCE = 20_000; // ms to start or end

const binary = resolve(process.argv[2]);
const site = join(dirname(binary), '../site');
const failures = [];

const folder = await mkdtemp(join(tmpdir(), 'natter-alone-'));
try {
  await copyFile(binary, join(folder, 'natter'));
  const { url, startup, process: natter } = await start(folder);
  console.log(`${'start until it listens'.padEnd(34)}${String(startup).padStart(9)} ms`);
  await firstLoad(url);
  await memory(natter.pid);
  const gone = once(natter, 'exit', { signal: AbortSignal.timeout(PATIENCE) });
  natter.kill('SIGTERM');
  const [code] = await gone;
  if (code !== 0) failures.push(`it ended with ${code} on SIGTERM`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
for (const failure of failures) console.error(`FAILED: ${failure}`);
process.exit(failures.length ? 1 : 0);

async function start(cwd) {
  const began = performance.now();
  const natter = spawn('./natter', ['--listen', '127.0.0.1:0', '--data', join(cwd, 'data')], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NATTER_'))),
  });
  process.on('exit', () => natter.kill('SIGKILL'));
  const lines = createInterface(natter.stdout);
  const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(PATIENCE) });
  const url = /^Natter is listening on (http:\S+)$/.exec(line)?.[1];
  if (!url) throw new Error(`the first line should name the address: ${line}`);
  return { url, startup: Math.round(performance.now() - began), process: natter };
}

async function firstLoad(url) {
  const page = await get(url, '/');
  if (page.status !== 200) failures.push(`/ answers ${page.status}`);
  const html = (await get(url, '/', 'identity')).body.toString();
  const named = [
    ...html.matchAll(/<link\b[^>]*\bhref="([^"]+)"/g),
    ...html.matchAll(/<(?:script|img)\b[^>]*\bsrc="([^"]+)"/g),
    ...html.matchAll(/["'](\/pkg\/[^"']+)["']/g),
  ].map(([, path]) => path.replaceAll('&amp;', '&'));
  const paths = [...new Set(named)].filter((path) => path.startsWith('/') && !path.startsWith('//'));
  for (const kind of ['js', 'wasm', 'css']) {
    if (!paths.some((path) => path.startsWith(`/pkg/natter.${kind}?v=`))) failures.push(`/ names no natter.${kind} with its hash`);
  }

  let total = page.body.length;
  report('/', page.body.length);
  for (const path of paths) {
    const file = await get(url, path);
    if (file.status !== 200) failures.push(`${path} answers ${file.status}`);
    if (path.startsWith('/pkg/')) {
      const built = await readFile(join(site, `${path.replace(/\?.*/, '')}.br`));
      if (!built.equals(file.body)) failures.push(`${path} is not what was built last`);
      if (!/immutable/.test(file.headers['cache-control'] ?? '')) failures.push(`${path} may not be cached for good`);
    }
    report(path.replace(/\?.*/, ''), file.body.length);
    total += file.body.length;
  }
  report(`first load, of ${kilobytes(FIRST_LOAD)} at most`, total);
  if (total > FIRST_LOAD) failures.push(`the first load has ${kilobytes(total)}`);
}

async function memory(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024) / 1e6;
  console.log(`${`memory at rest, of ${MEMORY} MB at most`.padEnd(34)}${megabytes.toFixed(1).padStart(9)} MB`);
  if (megabytes > MEMORY) failures.push(`the server takes ${megabytes.toFixed(1)} MB at rest`);
}

function report(what, bytes) {
  console.log(`${what.padEnd(34)}${kilobytes(bytes).padStart(12)}`);
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} KB`;
}

/** The body stays as it crossed the line: Node's `fetch` would decompress it. */
async function get(url, path, encoding = 'br') {
  const asked = request(new URL(path, url), {
    headers: { 'Accept-Encoding': encoding, Accept: 'text/html' },
    timeout: PATIENCE,
  }).end();
  const [answer] = await once(asked, 'response');
  const chunks = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
}
