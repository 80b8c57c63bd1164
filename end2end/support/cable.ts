// The cable between one browser and the server: a real connection that can be pulled out and put back in.

import { once } from 'node:events';
import net from 'node:net';

import type { Natter } from './natter';

export class Cable {
  private readonly connections = new Set<net.Socket>();
  private pulled = false;

  private constructor(
    private readonly near: net.Server,
    private readonly host: string,
    port: number,
  ) {
    near.on('connection', (here) => {
      if (this.pulled) return void here.destroy();
      const there = net.connect(port, host);
      for (const [one, other] of [[here, there], [there, here]] as const) {
        this.connections.add(one);
        one.setNoDelay(true).pipe(other);
        one.on('error', () => undefined); // The close that follows is what counts.
        one.on('close', () => {
          this.connections.delete(one);
          other.destroy();
        });
      }
    });
  }

  static async to(natter: Natter): Promise<Cable> {
    const near = net.createServer();
    // On the same address, for which the browser has its cookies.
    const { hostname, port } = new URL(natter.url);
    const cable = new Cable(near, hostname, Number(port));
    near.listen(0, hostname);
    await once(near, 'listening');
    return cable;
  }

  /** Where the server is to be found through this cable, without a slash at the end. */
  get url(): string {
    return `http://${this.host}:${(this.near.address() as net.AddressInfo).port}`;
  }

  pull(): void {
    this.pulled = true;
    for (const connection of this.connections) connection.destroy();
  }

  plug(): void {
    this.pulled = false;
  }

  remove(): void {
    this.pull();
    this.near.close();
  }
}
