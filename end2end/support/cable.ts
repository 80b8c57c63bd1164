// The cable between one browser and the server: a real connection that can be unplugged and plugged back in, or lead to
// a peer that accepts everything and never answers.

import { once } from 'node:events';
import net from 'node:net';

import type { Natter } from './natter';

export class Cable {
  private readonly connections = new Set<net.Socket>();
  private state: 'plugged' | 'pulled' | 'silent' = 'plugged';
  /** When each WebSocket upgrade was requested, in ms. */
  readonly upgrades: number[] = [];

  private constructor(
    private readonly near: net.Server,
    private readonly host: string,
    port: number,
    keepsCookies: boolean,
  ) {
    near.on('connection', (here) => {
      if (this.state === 'pulled') return void here.destroy();
      here.once('data', (head: Buffer) => {
        if (head.toString('latin1').startsWith('GET /ws')) this.upgrades.push(Date.now());
      });
      if (this.state === 'silent') {
        this.connections.add(here);
        here.on('error', () => undefined);
        return;
      }
      const there = net.connect(port, host);
      for (const [one, other] of [[here, there], [there, here]] as const) {
        this.connections.add(one);
        one.setNoDelay(true);
        if (one === there || keepsCookies) one.pipe(other);
        else one.on('data', (head) => other.write(head.toString('latin1').replace(/^cookie:.*\r\n/gim, ''), 'latin1'));
        one.on('error', () => undefined); // The close that follows is what counts.
        one.on('close', () => {
          this.connections.delete(one);
          other.destroy();
        });
      }
    });
  }

  /** Leads to this server; with `keepsCookies` false, as if the browser kept none. */
  static async to(natter: Natter, { keepsCookies = true } = {}): Promise<Cable> {
    const near = net.createServer();
    // On the same address, so that the browser sends its cookies.
    const { hostname, port } = new URL(natter.url);
    const cable = new Cable(near, hostname, Number(port), keepsCookies);
    near.listen(0, hostname);
    await once(near, 'listening');
    return cable;
  }

  /** The server's URL through this cable, without a trailing slash. */
  get url(): string {
    return `http://${this.host}:${(this.near.address() as net.AddressInfo).port}`;
  }

  pull(): void {
    this.state = 'pulled';
    this.drop();
  }

  silence(): void {
    this.state = 'silent';
    this.drop();
  }

  plug(): void {
    if (this.state === 'silent') this.drop();
    this.state = 'plugged';
  }

  private drop(): void {
    for (const connection of this.connections) connection.destroy();
    this.connections.clear();
  }

  remove(): void {
    this.pull();
    this.near.close();
  }
}
