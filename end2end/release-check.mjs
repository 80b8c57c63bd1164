// Checks what a release promises: `node release-check.mjs target/release/natter`.
//
// It copies only the binary into an empty folder and starts it there, so everything it serves comes from itself.
// Then it checks what a first visit transfers and what the other parts of the page weigh, that this is the latest build,
// and the server's memory at rest.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const FIRST_LOAD = 235_000; // bytes, of the chat: HTML, styles, JavaScript and WASM, as transferred
const USABLE = 30_000; // bytes: what a page without WASM has, and a door before its WASM is there
const PART = 30_000; // bytes of a part that comes when it is first used
const MEMORY = 40; // MB, resident, at rest
const PATIENCE = 20_000; // ms to start or end

const binary = resolve(process.argv[2]);
const site = join(dirname(binary), '../site');
const failures = [];

const folder = await mkdtemp(join(tmpdir(), 'natter-alone-'));
try {
  await copyFile(binary, join(folder, 'natter'));
  const { url, startup, process: natter } = await start(folder);
  console.log(`${'start until it listens'.padEnd(42)}${String(startup).padStart(9)} ms`);
  await firstLoad(url);
  for (const path of ['/login', '/register', '/about']) await usable(url, path);
  await parts();
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

/** Returns what the HTML of a page links to and imports. */
async function linked(url, path) {
  const html = (await get(url, path, 'identity')).body.toString();
  const named = [
    ...html.matchAll(/<link\b[^>]*\bhref="([^"]+)"/g),
    ...html.matchAll(/<(?:script|img)\b[^>]*\bsrc="([^"]+)"/g),
    ...html.matchAll(/["'](\/pkg\/[^"']+)["']/g),
  ].map(([, path]) => path.replaceAll('&amp;', '&'));
  return [...new Set(named)].filter((path) => path.startsWith('/') && !path.startsWith('//'));
}

async function firstLoad(url) {
  const page = await get(url, '/');
  if (page.status !== 200) failures.push(`/ answers ${page.status}`);
  const paths = await linked(url, '/');
  for (const kind of ['js', 'wasm', 'css']) {
    const versioned = new RegExp(`^/pkg/[0-9a-f]{16}/natter\\.${kind}$`);
    if (!paths.some((path) => versioned.test(path))) failures.push(`/ names no natter.${kind} of this build`);
  }
  if (!paths.some((path) => path.includes('/__wasm_split'))) failures.push('/ does not name the script that loads the parts');

  let total = page.body.length;
  report('/', page.body.length);
  for (const path of paths) {
    const file = await get(url, path);
    const name = path.replace(/^\/pkg\/[^/]+\//, '/pkg/');
    if (file.status !== 200) failures.push(`${path} answers ${file.status}`);
    if (path.startsWith('/pkg/')) {
      const built = await readFile(join(site, `${name}.br`));
      if (!built.equals(file.body)) failures.push(`${path} is not what was built last`);
      if (!/immutable/.test(file.headers['cache-control'] ?? '')) failures.push(`${path} may not be cached for good`);
    }
    report(name, file.body.length);
    total += file.body.length;
  }
  report(`first load, of ${kilobytes(FIRST_LOAD)} at most`, total);
  if (total > FIRST_LOAD) failures.push(`the first load has ${kilobytes(total)}`);
}

/** Checks what a page takes before people can read and use it: its HTML and its styles. */
async function usable(url, path) {
  const page = await get(url, path);
  if (page.status !== 200) failures.push(`${path} answers ${page.status}`);
  let total = page.body.length;
  for (const style of (await linked(url, path)).filter((path) => path.endsWith('.css'))) {
    total += (await get(url, style)).body.length;
  }
  report(`${path} usable, of ${kilobytes(USABLE)}`, total);
  if (total > USABLE) failures.push(`${path} takes ${kilobytes(total)} before it can be used`);
}

/** Checks the parts that come when they are first used. */
async function parts() {
  const files = (await readdir(join(site, 'pkg'))).filter((file) => /^(split|chunk)_.*\.wasm\.br$/.test(file));
  if (!files.includes('split_doors.wasm.br')) failures.push('the doors are no part of their own');
  for (const file of files) {
    const { length } = await readFile(join(site, 'pkg', file));
    report(`${file.replace('.br', '')}, of ${kilobytes(PART)}`, length);
    if (length > PART) failures.push(`${file} has ${kilobytes(length)}`);
  }
}

async function memory(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024) / 1e6;
  console.log(`${`memory at rest, of ${MEMORY} MB at most`.padEnd(42)}${megabytes.toFixed(1).padStart(9)} MB`);
  if (megabytes > MEMORY) failures.push(`the server takes ${megabytes.toFixed(1)} MB at rest`);
}

function report(what, bytes) {
  console.log(`${what.padEnd(42)}${kilobytes(bytes).padStart(12)}`);
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
