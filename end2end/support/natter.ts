// A real Natter: the release binary on a free port of a loopback address, with its own data folder.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = process.env.NATTER ?? resolve(__dirname, '../../target/release/natter');

/** How long a start or a graceful stop may take, in milliseconds. The server promises to be gone after 15 s. */
const PATIENCE = 20_000;

export class Natter {
  /** The server's log, over all starts. */
  log = '';
  private child: ChildProcess | undefined;

  private constructor(
    private readonly data: string,
    private readonly args: string[],
    private readonly host: string,
    private port: number,
  ) {}

  /** Starts a server on a free port of `host`, with these settings. */
  static async start(args: string[], host: string): Promise<Natter> {
    const data = await mkdtemp(join(tmpdir(), 'natter-end2end-'));
    const natter = new Natter(data, args, host, 0);
    await natter.start();
    return natter;
  }

  /** Where it listens, without a trailing slash. */
  get url(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** Starts it again on the same port and data, after `stop` or `kill`. */
  async start(): Promise<void> {
    const child = spawn(BINARY, ['--listen', `${this.host}:${this.port}`, '--data', this.data, ...this.args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NATTER_'))),
    });
    this.child = child;
    child.stderr!.on('data', (chunk) => (this.log += chunk));
    this.port = await new Promise<number>((listening, failed) => {
      const late = setTimeout(() => failed(new Error(`${BINARY} is not listening.\n${this.log}`)), PATIENCE);
      createInterface(child.stdout!).on('line', (line) => {
        const port = /^Natter is listening on http:\/\/[\d.]+:(\d+)$/.exec(line)?.[1];
        if (!port) return;
        clearTimeout(late);
        listening(Number(port));
      });
      child.once('error', failed);
      child.once('exit', (code) => failed(new Error(`${BINARY} ended with ${code}.\n${this.log}`)));
    });
    child.removeAllListeners('exit');
  }

  /** Stops it as an administrator would, and waits until it is gone. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** Kills it as a power cut would. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Kills it, if it runs, and removes its data. */
  async dispose(): Promise<void> {
    await this.end('SIGKILL');
    await rm(this.data, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE) });
    child.kill(signal);
    await gone;
  }
}
