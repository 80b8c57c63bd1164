// A real nginx with the README's configuration, verbatim except for addresses and certificate.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const README = resolve(__dirname, '../../README.md');

/** The parts of the README's recipe that a test must replace. */
const PLACES = {
  listen: 'listen 443 ssl;',
  upstream: 'http://127.0.0.1:3000',
  certificate: '/etc/ssl/certs/chat.example.org.pem',
  key: '/etc/ssl/private/chat.example.org.key',
};

export class Nginx {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  /** Puts nginx in front of a Natter, as https://chat.example.org on a port of 127.0.0.1. */
  static async before(natter: string): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), 'natter-nginx-'));
    const certificate = join(folder, 'certificate.pem');
    const key = join(folder, 'key.pem');
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=chat.example.org', '-keyout', key, '-out', certificate],
      { stdio: 'ignore' },
    );
    const port = await freePort();
    const recipe = replace(readRecipe(), {
      [PLACES.listen]: `listen 127.0.0.1:${port} ssl;`,
      [PLACES.upstream]: natter,
      [PLACES.certificate]: certificate,
      [PLACES.key]: key,
    });
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${folder};`);
    const file = join(folder, 'nginx.conf');
    await writeFile(
      file,
      `daemon off;
pid ${folder}/pid;
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http {
access_log off;
${temporary.join('\n')}
${recipe}
}
`,
    );
    const child = spawn('nginx', ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr!.on('data', (chunk) => (log += chunk));
    const ended = once(child, 'exit').then(() => Promise.reject(new Error(`nginx ended:\n${log}`)));
    ended.catch(() => undefined); // It ends in dispose, too.
    await Promise.race([listening(port), ended]);
    return new Nginx(folder, child, port);
  }

  async dispose(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await gone;
    await rm(this.folder, { recursive: true, force: true });
  }
}

function readRecipe(): string {
  const recipe = /```nginx\n([\s\S]*?)```/.exec(readFileSync(README, 'utf8'))?.[1];
  if (!recipe) throw new Error('the README has no recipe for nginx');
  return recipe;
}

/** Replaces every key, each of which must occur. */
function replace(text: string, by: Record<string, string>): string {
  return Object.entries(by).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the recipe for nginx should say ${from}`);
    return text.replaceAll(from, to);
  }, text);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until somebody listens. */
async function listening(port: number): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const socket = connect(port, '127.0.0.1');
    const answered = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false);
    socket.destroy();
    if (answered) return;
  }
  throw new Error('nginx does not listen');
}
