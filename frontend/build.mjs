#!/usr/bin/env node
/**
 * Builds the release: the page's files into target/site, then the server, which carries them in its binary.
 *
 * It makes what `cargo leptos build --release --precompress` makes, from the same settings (`workspace.metadata.leptos`
 * in Cargo.toml), and needs neither cargo-leptos nor wasm-bindgen's command line tool: those take minutes to install and
 * serve development alone. `make same-page` holds the two against one another.
 *
 *     node frontend/build.mjs [--page] [--whole]      --page leaves out the server; --whole drops nothing of the page
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, brotliCompressSync, gzipSync } from 'node:zlib';
import { dropExports, renameImports } from './wasm.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(join(ROOT, 'end2end/package.json')); // the npm packages are there
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
/** Where cargo-leptos compiles the browser's half too, so that neither compiles again what the other has. */
const FRONT = join(TARGET, 'front');

/** Runs a program to its end. Returns what it prints, if asked to. */
function run(program, args, { env = {}, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', 'inherit'],
    });
    let printed = '';
    child.stdout?.on('data', (data) => (printed += data));
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve(printed);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}`));
    });
  });
}

/** Says what comes next, as cargo does. */
function say(what) {
  console.log(`\x1b[1;32m${'Page'.padStart(12)}\x1b[0m ${what}`);
}

/** The settings that cargo-leptos reads too, and the variables that Leptos is compiled with. */
async function settings() {
  const metadata = JSON.parse(
    await run('cargo', ['metadata', '--format-version', '1', '--no-deps'], { quiet: true }),
  );
  const [leptos] = metadata.metadata.leptos;
  const name = leptos['output-name'] ?? leptos.name;
  const env = {
    LEPTOS_OUTPUT_NAME: name,
    LEPTOS_SITE_ROOT: leptos['site-root'],
    LEPTOS_SITE_PKG_DIR: leptos['site-pkg-dir'],
    LEPTOS_SITE_ADDR: leptos['site-addr'],
    LEPTOS_RELOAD_PORT: `${leptos['reload-port']}`,
    LEPTOS_LIB_DIR: leptos['lib-package'],
    LEPTOS_BIN_DIR: leptos['bin-package'],
    LEPTOS_JS_MINIFY: 'true',
    LEPTOS_HASH_FILES: 'false',
  };
  return { leptos, name, env, site: join(ROOT, leptos['site-root']) };
}

/** Compiles the browser's half and makes what a browser loads: `name.js`, `name.wasm` and the other parts. */
async function wasm({ leptos, name, env }, pkg) {
  const profile = leptos['lib-profile-release'];
  const target = 'wasm32-unknown-unknown';
  const lib = leptos['lib-package'];
  const args = ['build', `--package=${lib}`, '--lib', `--target-dir=${FRONT}`, `--target=${target}`];
  // The parts are split off by what the linker notes of who calls whom.
  const flags = { CARGO_ENCODED_RUSTFLAGS: '-Clink-args=--emit-relocs' };
  await run('cargo', [...args, `--profile=${profile}`, '--features=split'], { env: { ...env, ...flags } });
  const compiled = join(FRONT, target, profile, `${lib.replaceAll('-', '_')}.wasm`);
  const make = ['run', '--quiet', '--profile=tool', '--package=xtask', '--features=page', '--'];
  await run('cargo', [...make, 'page', compiled, pkg, name]);
  const script = join(pkg, `${name}.js`);
  if (!process.argv.includes('--whole')) dropStreams(join(pkg, `${name}.wasm`), script);
  for (const part of readdirSync(pkg).filter((file) => file.endsWith('.wasm'))) {
    say(`optimising ${part}`);
    const file = join(pkg, part);
    await run(join(ROOT, 'frontend/bin/wasm-opt'), [...leptos['wasm-opt-features'], file, '-o', file]);
  }
  shorten(join(pkg, `${name}.wasm`), script);
  const { minify } = require('terser');
  const { code } = await minify(readFileSync(script, 'utf8'), { module: true });
  writeFileSync(script, code);
}

/**
 * Drops three classes that come with server functions, for bodies that are streams, which the page has none of. They
 * are exported to scripts, which keeps them and all they need: two kilobytes. Only Rust makes one of them, through a
 * function of the script that is not there when nothing does.
 */
function dropStreams(wasm, script) {
  const code = readFileSync(script, 'utf8');
  if (code.includes('__wrap')) throw new Error('The page makes streams now: keep their classes.');
  writeFileSync(wasm, dropExports(readFileSync(wasm), (name) => /^(__wbg_)?intounderlying/.test(name)));
  const statements = [/^export class IntoUnderlying\w* {\n[^]*?^}\n/gm, /^(const|if \(Symbol\.dispose\)) IntoUnderlying[^]*?;\n/gm];
  writeFileSync(script, statements.reduce((code, dropped) => code.replaceAll(dropped, ''), code));
}

/**
 * Gives what the WASM imports from its script short names. wasm-bindgen ends each with a hash, which no compression makes
 * shorter, in both files: four kilobytes.
 */
function shorten(wasm, script) {
  const hashed = /\b\w+_[0-9a-f]{16}\b/g;
  const short = new Map();
  const rename = (name) => short.get(name) ?? short.set(name, `i${short.size.toString(36)}`).get(name);
  const code = readFileSync(script, 'utf8');
  const known = new Set(code.match(hashed));
  const renamed = renameImports(readFileSync(wasm), (_from, name) => (known.has(name) ? rename(name) : name));
  writeFileSync(wasm, renamed);
  writeFileSync(script, code.replaceAll(hashed, (name) => short.get(name) ?? name));
}

/** Bundles the stylesheets into one, for the browsers that the manifest names. */
function style({ leptos, name }, pkg) {
  const { bundle, browserslistToTargets } = require('lightningcss');
  const targets = browserslistToTargets(require('browserslist')(leptos.browserquery));
  const { code } = bundle({ filename: join(ROOT, leptos['style-file']), minify: true, targets });
  writeFileSync(join(pkg, `${name}.css`), code);
}

/** Puts a `.br` and a `.gz` beside each file, for the server to pick from. */
function compress(folder) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const bytes = readFileSync(file);
    const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params })); // the best quality is the default
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  }
}

const all = await settings();
const { leptos, env, site } = all;
const pkg = join(site, leptos['site-pkg-dir']);
rmSync(site, { recursive: true, force: true });
mkdirSync(pkg, { recursive: true });
await wasm(all, pkg);
style(all, pkg);
cpSync(join(ROOT, leptos['assets-dir']), site, { recursive: true });
compress(site);
say(`is in ${relative(ROOT, site)}`);
if (!process.argv.includes('--page')) {
  const server = [`--package=${leptos['bin-package']}`, `--bin=${leptos['bin-target']}`];
  await run('cargo', ['build', ...server, '--release'], { env });
}
