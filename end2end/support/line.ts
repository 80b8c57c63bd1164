// The line between one page and the server, tapped: tests can hold, drop or answer what crosses it.

import { type WebSocketRoute, expect } from '@playwright/test';

import type { Chat } from '../pages/chat';

export type Frame = { type: string } & Record<string, unknown>;

/** Decides about a frame: `true` lets it pass. May act on the line. */
type Decide = (frame: Frame) => boolean;

export class Line {
  /** Everything that crossed or tried to, in order. */
  readonly said: Frame[] = [];
  readonly heard: Frame[] = [];
  /** When the page connected, each time, by `Date.now`. */
  readonly connected: number[] = [];

  private page: WebSocketRoute | undefined;
  private server: WebSocketRoute | undefined;
  private decideSaid: Decide = () => true;
  private decideHeard: Decide = () => true;
  private held: string[] | undefined;
  private late: (() => void)[] | undefined;
  private unplugged = false;
  private ready: Promise<unknown> = Promise.resolve();

  /** Taps the line of a page, which it reloads for that, and waits for its Welcome. */
  static async tap(chat: Chat): Promise<Line> {
    const line = new Line();
    await chat.page.routeWebSocket(/\/ws$/, (page) => line.connect(page));
    await chat.reload();
    await expect.poll(() => line.heard.some(({ type }) => type === 'Welcome'), 'a Welcome').toBe(true);
    return line;
  }

  private async connect(page: WebSocketRoute): Promise<void> {
    this.connected.push(Date.now());
    await this.ready;
    if (this.unplugged) {
      // Closes only once it is open, which the page notices immediately: unlike a real socket, one that closes earlier
      // does not wake the page, which would wait for 10 s.
      page.onMessage(() => void page.close({ code: 1012 }));
      return;
    }
    const server = page.connectToServer();
    this.page = page;
    this.server = server;
    // Drops what is in flight when the line is cut: a closing socket would complain about it.
    page.onMessage((text) => {
      if (this.server !== server) return;
      const frame = JSON.parse(String(text)) as Frame;
      this.said.push(frame);
      if (!this.decideSaid(frame)) return;
      if (this.held) this.held.push(String(text));
      else server.send(text);
    });
    server.onMessage((text) => {
      if (this.server !== server) return;
      const frame = JSON.parse(String(text)) as Frame;
      this.heard.push(frame);
      if (!this.decideHeard(frame)) return;
      if (this.late) this.late.push(() => page.send(text));
      else page.send(text);
    });
  }

  /** Lets only frames that `decide` accepts go from the page to the server. */
  onSaid(decide: Decide): void {
    this.decideSaid = decide;
  }

  /** Lets only frames that `decide` accepts go from the server to the page. */
  onHeard(decide: Decide): void {
    this.decideHeard = decide;
  }

  /** Simulates a slow network: what the page sends waits until `release`. */
  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const text of held) this.server?.send(text);
  }

  /** Slows the other direction: what the server sends waits until `deliver`. */
  delay(): void {
    this.late ??= [];
  }

  deliver(): void {
    const late = this.late ?? [];
    this.late = undefined;
    for (const give of late) give();
  }

  /** Sends a frame to the page in the server's name. */
  tell(frame: Frame): void {
    this.page?.send(JSON.stringify(frame));
  }

  /** Makes later connections wait for this before they reach the server. */
  connectAfter(ready: Promise<unknown>): void {
    this.ready = ready;
  }

  /** Cuts the line and blocks new ones until `plug`. */
  async unplug(): Promise<void> {
    this.unplugged = true;
    await this.cut();
  }

  plug(): void {
    this.unplugged = false;
  }

  /** Plugs it in and calls the page until its next Welcome: the page ignores a call while an attempt is failing. */
  async back(chat: Chat): Promise<void> {
    const welcomes = () => this.heard.filter(({ type }) => type === 'Welcome').length;
    const before = welcomes();
    this.plug();
    await expect(async () => {
      await chat.page.evaluate(() => void dispatchEvent(new Event('online')));
      expect(welcomes()).toBeGreaterThan(before);
    }).toPass({ intervals: [250], timeout: 60_000 });
  }

  /** Cuts the line, as a network would. */
  async cut(): Promise<void> {
    const { page, server } = this;
    this.page = this.server = undefined;
    await Promise.all([page?.close({ code: 1012 }), server?.close()]);
  }
}
